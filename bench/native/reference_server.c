/* The least a server can do: the same prebuilt bytes to every client, one send each.

       reference_server PREBUILT SNDBUF UNSENT_LOW_BYTES

   PREBUILT is what bench.fanout_prebuilt wrote: WebSocket frames, and where each has its stamp.
   No protocol: an upgrade is answered with 101, whatever a client says with a fixed sub_ok. It does
   nothing per client but `send`; what the kernel does not take waits in the client's own queue.

   Prints its port. Each line on stdin `play WRITES_PER_S FRAMES_PER_WRITE SECONDS` makes so many
   writes to everybody, on time against a clock that nobody shifts, each with fresh stamps; it is
   answered by one line of JSON. Ends with stdin. */

#define _GNU_SOURCE
#include <sys/timerfd.h>

#include "wire.h"

#define QUEUE_BYTES_MAX (64 << 20)

typedef struct {
    int fd;
    int upgraded;
    char *queue;
    size_t queued;
} Client;

static Client **clients;
static Client listening, timer; /* marks for epoll */
static int client_count, poll_fd, sndbuf, unsent_low;
static char *data;
static uint32_t frame_count, stamp_digits;
static uint32_t *frame_at, *stamp_at; /* frame_at[frame_count] is the end */
static int64_t writes_left, writes, frames, sends, partial, late_ns, due_ns, gap_ns, began_ns;
static uint32_t per_write, cursor;

static void load(const char *path) {
    FILE *file = fopen(path, "rb");
    uint32_t head[3];
    if (!file || fread(head, sizeof head, 1, file) != 1) die(path);
    frame_count = head[0], stamp_digits = head[1];
    frame_at = calloc(frame_count + 1, sizeof *frame_at);
    stamp_at = calloc(frame_count, sizeof *stamp_at);
    data = malloc(head[2]);
    if (fread(frame_at, sizeof *frame_at, frame_count + 1, file) != frame_count + 1 ||
        fread(stamp_at, sizeof *stamp_at, frame_count, file) != frame_count ||
        fread(data, 1, head[2], file) != head[2])
        die(path);
    fclose(file);
}

static void stamp(uint32_t from, uint32_t to) {
    int64_t now = now_ns();
    char text[32];
    snprintf(text, sizeof text, "%019" PRId64, now);
    for (uint32_t i = from; i < to; i++)
        if (stamp_digits) memcpy(data + stamp_at[i], text, stamp_digits);
        else memcpy(data + stamp_at[i], &now, sizeof now);
}

static void drop(Client *client) {
    for (int i = 0; i < client_count; i++)
        if (clients[i] == client) clients[i] = clients[--client_count];
    close(client->fd);
    free(client->queue);
    free(client);
}

/* Returns the bytes the kernel took, -1 when the client is gone. */
static ssize_t give(Client *client, const char *from, size_t size) {
    ssize_t sent = send(client->fd, from, size, MSG_NOSIGNAL);
    sends++;
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static int write_to(Client *client, const char *from, size_t size) {
    size_t sent = 0;
    if (!client->queued) {
        ssize_t taken = give(client, from, size);
        if (taken < 0) return 0;
        sent = (size_t)taken;
        if (sent == size) return 1;
        watch(poll_fd, EPOLL_CTL_MOD, client->fd, EPOLLIN | EPOLLOUT, client);
    }
    partial++;
    if (client->queued + size - sent > QUEUE_BYTES_MAX) return 0;
    client->queue = realloc(client->queue, client->queued + size - sent);
    if (!client->queue) die("realloc");
    memcpy(client->queue + client->queued, from + sent, size - sent);
    client->queued += size - sent;
    return 1;
}

static int drain(Client *client) {
    ssize_t taken = give(client, client->queue, client->queued);
    if (taken < 0) return 0;
    client->queued -= (size_t)taken;
    memmove(client->queue, client->queue + taken, client->queued);
    if (!client->queued) watch(poll_fd, EPOLL_CTL_MOD, client->fd, EPOLLIN, client);
    return 1;
}

static void arm(void) {
    struct itimerspec when = {.it_value = {due_ns / 1000000000, due_ns % 1000000000}};
    if (timerfd_settime(timer.fd, TFD_TIMER_ABSTIME, &when, NULL)) die("timerfd");
}

/* Makes the next write to everybody, and says when another is due. */
static void play(void) {
    int64_t behind_ns = now_ns() - due_ns;
    if (behind_ns < 0) { /* woken a little early */
        arm();
        return;
    }
    if (behind_ns > late_ns) late_ns = behind_ns;
    if (cursor + per_write > frame_count) cursor = 0;
    stamp(cursor, cursor + per_write);
    const char *from = data + frame_at[cursor];
    size_t size = frame_at[cursor + per_write] - frame_at[cursor];
    for (int i = client_count - 1; i >= 0; i--)
        if (clients[i]->upgraded && !write_to(clients[i], from, size)) drop(clients[i]);
    cursor += per_write;
    writes++;
    frames += per_write;
    due_ns += gap_ns;
    if (--writes_left) {
        arm();
        return;
    }
    printf("{\"writes\":%" PRId64 ",\"frames\":%" PRId64 ",\"sends\":%" PRId64
           ",\"partial\":%" PRId64 ",\"late_ns\":%" PRId64 ",\"began_ns\":%" PRId64 "}\n",
           writes, frames, sends, partial, late_ns, began_ns);
    fflush(stdout);
}

static void obey(const char *line) {
    double writes_per_s, seconds;
    if (sscanf(line, "play %lf %u %lf", &writes_per_s, &per_write, &seconds) != 3 || !per_write ||
        per_write > frame_count)
        exit(64);
    writes_left = (int64_t)(writes_per_s * seconds + 0.5);
    gap_ns = (int64_t)(1e9 / writes_per_s);
    writes = frames = sends = partial = late_ns = 0;
    began_ns = now_ns();
    due_ns = began_ns + gap_ns;
    arm();
}

/* The key is not looked at, so the answer to it is made up: our own client does not check it. */
static int hear(Client *client) {
    static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Accept: none\r\n\r\n";
    static const char answer[] = "\x81\x0f{\"op\":\"sub_ok\"}";
    char text[65536];
    ssize_t got = recv(client->fd, text, sizeof text, 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    if (client->upgraded) return write_to(client, answer, sizeof answer - 1);
    client->upgraded = 1;
    return write_to(client, upgrade, sizeof upgrade - 1);
}

static void welcome(void) {
    Client *client = calloc(1, sizeof *client);
    int yes = 1;
    client->fd = accept4(listening.fd, NULL, NULL, SOCK_NONBLOCK);
    if (client->fd < 0) die("accept");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (sndbuf) setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    if (unsent_low)
        setsockopt(client->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_low, sizeof unsent_low);
    clients = realloc(clients, (size_t)(client_count + 1) * sizeof *clients);
    clients[client_count++] = client;
    watch(poll_fd, EPOLL_CTL_ADD, client->fd, EPOLLIN, client);
}

static void turn(void) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(poll_fd, events, EVENTS_MAX, -1), is_due = 0;
    for (int i = 0; i < count; i++) {
        Client *client = events[i].data.ptr;
        uint64_t ticks;
        if (!client) {
            char *line;
            while ((line = take_line())) obey(line);
        } else if (client == &listening) {
            welcome();
        } else if (client == &timer) {
            is_due = read(timer.fd, &ticks, sizeof ticks) > 0;
        } else if ((events[i].events & EPOLLOUT && !drain(client)) ||
                   (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !hear(client))) {
            drop(client);
        }
    }
    if (is_due && writes_left) play(); /* after the events: it may drop clients they name */
}

int main(int argc, char **argv) {
    if (argc != 4) return 64;
    load(argv[1]);
    sndbuf = atoi(argv[2]);
    unsent_low = atoi(argv[3]);
    raise_descriptor_limit();
    unblock(STDIN_FILENO);
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    listening.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listening.fd, (struct sockaddr *)&address, size) || listen(listening.fd, 1024) ||
        getsockname(listening.fd, (struct sockaddr *)&address, &size))
        die("listen");
    poll_fd = epoll_create1(0);
    timer.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    watch(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
    watch(poll_fd, EPOLL_CTL_ADD, listening.fd, EPOLLIN, &listening);
    watch(poll_fd, EPOLL_CTL_ADD, timer.fd, EPOLLIN, &timer);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) turn();
}
