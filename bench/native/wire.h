/* What the load client and the reference server share: time, sockets, small parsers. */

#ifndef VNTAPE_BENCH_WIRE_H
#define VNTAPE_BENCH_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

/* The clock that stamps rows: UTC nanoseconds. */
static inline int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Processor time of this process. */
static inline int64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void unblock(int fd) {
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)) die("fcntl");
}

/* A thousand clients need more descriptors than a shell gives. */
static inline void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit)) die("setrlimit");
}

static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline void watch(int poll, int operation, int fd, uint32_t events, void *what) {
    struct epoll_event event = {.events = events, .data.ptr = what};
    if (epoll_ctl(poll, operation, fd, &event)) die("epoll_ctl");
}

/* Reads what stdin has; returns one whole line without its end, or NULL. Exits when it ended. */
static inline char *take_line(void) {
    static char text[4096];
    static char line[4096];
    static size_t used;
    char *end = memchr(text, '\n', used);
    if (!end) {
        ssize_t got = read(STDIN_FILENO, text + used, sizeof text - used);
        if (got == 0) exit(0);
        if (got < 0) {
            if (errno == EAGAIN) return NULL;
            die("stdin");
        }
        used += (size_t)got;
        end = memchr(text, '\n', used);
        if (!end) return NULL;
    }
    size_t size = (size_t)(end - text);
    memcpy(line, text, size);
    line[size] = 0;
    used -= size + 1;
    memmove(text, end + 1, used);
    return line;
}

static inline int64_t number(const char **at) {
    int64_t value = 0;
    int minus = **at == '-';
    for (*at += minus; **at >= '0' && **at <= '9'; (*at)++) value = value * 10 + (**at - '0');
    return minus ? -value : value;
}

/* Moves behind `name` and returns its number; -1 when it is not there. Mostly it is next. */
static inline int64_t member(const char **at, const char *end, const char *name) {
    size_t size = strlen(name), left = (size_t)(end - *at);
    const char *found = *at;
    if (left < size || memcmp(found, name, size)) found = memmem(*at, left, name, size);
    if (!found) return -1;
    *at = found + size;
    return number(at);
}

static inline int64_t i8(const char *at) {
    int64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Returns the bytes of a server frame's head, 0 when it has not come whole; sets the payload's. */
static inline size_t frame_head(const uint8_t *at, size_t left, size_t *length) {
    *length = 0;
    if (left < 2) return 0;
    size_t more = at[1] == 126 ? 2 : at[1] == 127 ? 8 : 0;
    if (left < 2 + more) return 0;
    for (size_t i = 0; i < more; i++) *length = *length << 8 | at[2 + i];
    if (!more) *length = at[1];
    return 2 + more;
}

/* Asks for a WebSocket, waits for the answer; returns its end, `*used` bytes were read in all. */
static inline const char *upgrade(int fd, int port, const char *protocol, char *text, size_t room,
                                  size_t *used) {
    int size = snprintf(text, room,
                        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                        "Sec-WebSocket-Protocol: %s\r\n\r\n", port, protocol);
    if (send(fd, text, (size_t)size, MSG_NOSIGNAL) != size) die("send");
    char *end = NULL;
    for (*used = 0; !end; end = memmem(text, *used, "\r\n\r\n", 4)) {
        ssize_t got = recv(fd, text + *used, room - *used, 0);
        if (got <= 0) die("the server hung up during the upgrade");
        *used += (size_t)got;
    }
    if (!memcmp(text, "HTTP/1.1 101", 12)) return end + 4;
    fprintf(stderr, "refused: %.*s\n", (int)*used, text);
    exit(1);
}

#endif
