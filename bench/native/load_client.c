/* Many WebSocket clients in one process: subscribe, read, count, and measure how old rows are.

       load_client PORT CLIENTS PROTOCOL REQUESTS CHECKED EVERY RCVBUF

   PROTOCOL  sub-protocol to ask for; REQUESTS a file whose line i is what client i says (again
             from the first when there are more clients)
   CHECKED   so many clients follow every key's sequence: `breaks` counts what does not join on
   EVERY     one data frame in so many is timed; at full speed timing all would cost too much
   RCVBUF    SO_RCVBUF, 0 for the kernel's choice

   Prints "ready" once everybody was answered. Then each line on stdin is answered by one line of
   JSON: `status` (counts so far), `mark` (the same, then counts start anew), `pause` (stop
   reading), `resume`. Ends with stdin. */

#define _GNU_SOURCE
#include "counts.h"
#include "wire.h"

#define BUFFER_BYTES (1 << 20) /* of it a frame may take half */
#define READ_BYTES (1 << 17)   /* at a time: what was copied must still be near when it is parsed */
#define CHANNELS 64
#define KEYS 8192
#define SYMBOL_BITS 20
#define RECV_NS_AT 8 /* in every delta's head */
#define BIN_HEADER 16
#define BIN_KEY 64
#define BIN_MERGED 72
#define FEED_STAMP_US 1000000000 /* bench.fanout_feed: volume = this + microseconds mod this */
#define QUOTE_CODE 2

typedef struct {
    int fd;
    int open;
    int answered;
    size_t held; /* bytes of a frame that has not come whole */
    char *rest;
    int64_t *last_seq; /* CHANNELS x KEYS; NULL: not checked */
} Client;

static Client *clients;
static int client_count, poll_fd, every, sampled;
static char buffer[BUFFER_BYTES];
static char first_error[256];
static int64_t frames, updates, snaps, bytes, reads_, breaks, negative, marked_cpu_ns, last_ns;
static int64_t age_us[BUCKETS], feed_age_us[BUCKETS];
static Named ops[NAMES], closes[NAMES];

static void measured(int64_t *table, int64_t us) {
    if (us < 0) negative++;
    table[bucket_of(us < 0 ? 0 : us)]++;
}

static void follow(Client *client, int64_t ch, int64_t seq, int64_t n, int is_snap) {
    int64_t code = ch >> SYMBOL_BITS, key = ch & ((1 << SYMBOL_BITS) - 1);
    if (!client->last_seq || code >= CHANNELS || key >= KEYS) return;
    int64_t *last = &client->last_seq[code * KEYS + key];
    if (*last && !is_snap && seq - n != *last) breaks++;
    *last = seq;
}

static void data_frame(Client *client, int64_t ch, int64_t seq, int64_t n, int is_snap) {
    follow(client, ch, seq, n, is_snap);
    if (is_snap) {
        snaps++;
        return;
    }
    frames++;
    updates += n;
}

static void feed_stamp(int64_t volume, int64_t at_ns) {
    if (volume < FEED_STAMP_US) return; /* a quote that nobody stamped */
    int64_t us = (at_ns / 1000 - volume) % FEED_STAMP_US;
    measured(feed_age_us, us < 0 ? us + FEED_STAMP_US : us);
}

static void text_frame(Client *client, const char *text, size_t size, int64_t at_ns) {
    static const char delta[] = "{\"op\":\"d\",\"ch\":", snap[] = "{\"op\":\"snap\",\"ch\":";
    const char *at, *end = text + size;
    int is_snap = 0;
    if (size > sizeof snap && !memcmp(text, delta, sizeof delta - 1)) {
        at = text + sizeof delta - 1;
    } else if (size > sizeof snap && !memcmp(text, snap, sizeof snap - 1)) {
        at = text + sizeof snap - 1;
        is_snap = 1;
    } else {
        const char *name = size > 7 ? text + 7 : text, *stop = memchr(name, '"', (size_t)(end - name));
        count_name(ops, name, stop ? (size_t)(stop - name) : 0);
        if (!memcmp(name, "error\"", 6) || memmem(text, size, "\"err\":{\"", 8)) {
            if (!first_error[0])
                memcpy(first_error, text, size < sizeof first_error ? size : sizeof first_error - 1);
        }
        if (!client->answered && (!memcmp(name, "sub_ok\"", 7) || !memcmp(name, "error\"", 6)))
            client->answered = 1;
        return;
    }
    int64_t ch = number(&at), seq = member(&at, end, ",\"seq\":");
    int64_t n = member(&at, end, ",\"n\":");
    data_frame(client, ch, seq, n, is_snap);
    if (is_snap || ++sampled < every) return;
    sampled = 0;
    int64_t recv_ns = member(&at, end, "\"recv_ns\":");
    measured(age_us, (at_ns - recv_ns) / 1000);
    if (ch >> SYMBOL_BITS == QUOTE_CODE)
        feed_stamp(member(&at, end, "\"bid_volume_shares\":"), at_ns);
}

static void binary_frame(Client *client, const char *text, size_t size, int64_t at_ns) {
    uint32_t ch;
    if (size <= BIN_HEADER || text[0] != 1) {
        breaks++;
        return;
    }
    int is_snap = text[1] == 1, count = (uint8_t)text[3];
    memcpy(&ch, text + 4, sizeof ch);
    int64_t first = i8(text + 8);
    size_t before = BIN_HEADER + (is_snap ? BIN_KEY : 0) + (text[2] & 1 ? BIN_MERGED : 0);
    if (!count || size < before || (size - before) % (size_t)count) {
        breaks++;
        return;
    }
    const char *record = text + before + (size - before) / (size_t)count * (size_t)(count - 1);
    int64_t seq = i8(record);
    data_frame(client, ch, seq, seq - first + 1, is_snap);
    if (is_snap || ++sampled < every) return;
    sampled = 0;
    measured(age_us, (at_ns - i8(record + RECV_NS_AT)) / 1000);
    if (ch >> SYMBOL_BITS == QUOTE_CODE) feed_stamp(i8(record + 40), at_ns);
}

/* A client's frame, masked with zeros. A socket that is full must not stop the bench. */
static void say(Client *client, int opcode, const char *text, size_t size) {
    char frame[65536 + 16] = {(char)(0x80 | opcode)};
    size_t head = size < 126 ? 6 : 8;
    if (size > 65535) exit(2);
    frame[1] = (char)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) frame[2] = (char)(size >> 8), frame[3] = (char)size;
    memcpy(frame + head, text, size);
    if (send(client->fd, frame, head + size, MSG_NOSIGNAL) < 0 && errno != EAGAIN) client->open = 0;
}

static void lost(Client *client, const char *why) {
    count_name(closes, why, strlen(why));
    close(client->fd);
    client->open = 0;
    client->fd = -1;
}

/* Takes whole frames from the buffer; returns the bytes used. */
static size_t take_frames(Client *client, const char *text, size_t size, int64_t at_ns) {
    size_t used = 0;
    for (;;) {
        const uint8_t *head = (const uint8_t *)text + used;
        size_t length, skip = frame_head(head, size - used, &length);
        if (length > BUFFER_BYTES / 2) exit(3);
        if (!skip || size - used < skip + length) break;
        const char *payload = text + used + skip;
        used += skip + length;
        int opcode = head[0] & 15;
        if (opcode == 1) text_frame(client, payload, length, at_ns);
        else if (opcode == 2) binary_frame(client, payload, length, at_ns);
        else if (opcode == 9) say(client, 10, payload, length);
        else if (opcode == 8) {
            char code[16] = "1005";
            if (length >= 2) snprintf(code, sizeof code, "%d", head[skip] << 8 | head[skip + 1]);
            lost(client, code);
            return used;
        }
    }
    return used;
}

static void read_some(Client *client) {
    if (client->held) memcpy(buffer, client->rest, client->held);
    ssize_t got = recv(client->fd, buffer + client->held, READ_BYTES, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        lost(client, got ? "reset" : "end");
        return;
    }
    bytes += got;
    reads_++;
    int64_t at_ns = now_ns(), before = frames;
    size_t size = client->held + (size_t)got;
    size_t used = take_frames(client, buffer, size, at_ns);
    if (frames > before) last_ns = at_ns;
    client->held = size - used;
    if (!client->open || !client->held) return;
    client->rest = realloc(client->rest, client->held);
    if (!client->rest) die("realloc");
    memcpy(client->rest, buffer + used, client->held);
}

static void connect_one(Client *client, int port, const char *protocol, int rcvbuf) {
    struct sockaddr_in address = loopback(port);
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (rcvbuf) setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    int yes = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    size_t used = 0;
    const char *end = upgrade(client->fd, port, protocol, buffer, BUFFER_BYTES / 2, &used);
    client->open = 1;
    client->held = used - (size_t)(end - buffer);
    client->rest = malloc(client->held + 1);
    memcpy(client->rest, end, client->held);
    unblock(client->fd);
}

static void report(void) {
    int open = 0;
    for (int i = 0; i < client_count; i++) open += clients[i].open;
    printf("{\"clients\":%d,\"open\":%d,\"frames\":%" PRId64 ",\"updates\":%" PRId64
           ",\"snaps\":%" PRId64 ",\"bytes\":%" PRId64 ",\"reads\":%" PRId64 ",\"breaks\":%" PRId64
           ",\"negative\":%" PRId64 ",\"last_ns\":%" PRId64 ",\"cpu_ns\":%" PRId64 ",",
           client_count, open, frames, updates, snaps, bytes, reads_, breaks, negative,
           last_ns, cpu_ns() - marked_cpu_ns);
    print_named("ops", ops);
    print_named("closes", closes);
    print_ages("age_us", age_us);
    print_ages("feed_age_us", feed_age_us);
    for (char *at = first_error; *at; at++)
        if (*at == '"' || *at == '\\' || *at < ' ') *at = '\'';
    printf("\"error\":\"%s\"}\n", first_error);
    fflush(stdout);
}

static void start_anew(void) {
    frames = updates = snaps = bytes = reads_ = breaks = negative = 0;
    memset(age_us, 0, sizeof age_us);
    memset(feed_age_us, 0, sizeof feed_age_us);
    memset(ops, 0, sizeof ops);
    memset(closes, 0, sizeof closes);
    marked_cpu_ns = cpu_ns();
}

static void obey(const char *line) {
    if (!strcmp(line, "pause") || !strcmp(line, "resume"))
        for (int i = 0; i < client_count; i++)
            if (clients[i].open)
                watch(poll_fd, *line == 'p' ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, clients[i].fd, EPOLLIN,
                      &clients[i]);
    report();
    if (!strcmp(line, "mark")) start_anew();
}

static void turn(void) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(poll_fd, events, EVENTS_MAX, -1);
    for (int i = 0; i < count; i++) {
        Client *client = events[i].data.ptr;
        if (client) {
            if (client->open) read_some(client); /* what came before a hang-up is read first */
            continue;
        }
        char *line;
        while ((line = take_line())) obey(line);
    }
}

static void subscribe_all(const char *path) {
    static char line[65536];
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    for (int i = 0; i < client_count; i++) {
        if (!fgets(line, sizeof line, file)) {
            rewind(file);
            if (!fgets(line, sizeof line, file)) exit(4);
        }
        say(&clients[i], 1, line, strcspn(line, "\n"));
    }
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc != 8) return 64;
    int port = atoi(argv[1]), checked = atoi(argv[5]), rcvbuf = atoi(argv[7]);
    client_count = atoi(argv[2]);
    every = atoi(argv[6]);
    raise_descriptor_limit();
    clients = calloc((size_t)client_count, sizeof *clients);
    poll_fd = epoll_create1(0);
    unblock(STDIN_FILENO);
    for (int i = 0; i < client_count; i++) {
        connect_one(&clients[i], port, argv[3], rcvbuf);
        if (i < checked) clients[i].last_seq = calloc((size_t)CHANNELS * KEYS, sizeof(int64_t));
        watch(poll_fd, EPOLL_CTL_ADD, clients[i].fd, EPOLLIN, &clients[i]);
    }
    watch(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
    subscribe_all(argv[4]);
    for (int i = 0; i < client_count; i++)
        while (!clients[i].answered && clients[i].open) turn();
    puts("ready");
    fflush(stdout);
    for (;;) turn();
}
