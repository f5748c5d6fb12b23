/* The floor: one thread, epoll, each message framed once and sent with one send() a viewer.
 * No queue: who cannot take a whole frame is dropped. Nothing that serves WebSocket viewers
 * over TCP with a call for each viewer can cost less.
 *   floor PORT FEED-PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MAX_FD = 65536, MAX_MESSAGE = 1 << 20, HEAD = 14 };

static int viewers[MAX_FD], count, place[MAX_FD];
static uint8_t feed[HEAD + 4 + MAX_MESSAGE];
static size_t have;

static void die(const char *what) { perror(what); exit(1); }

static uint32_t rol(uint32_t x, int n) { return x << n | x >> (32 - n); }

/* SHA-1 (RFC 3174) of a message that fits two blocks. */
static void sha1(const char *text, uint8_t out[20]) {
    uint8_t block[128] = {0};
    size_t n = strlen(text), total = n + 9 > 64 ? 128 : 64;
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, w[80];
    memcpy(block, text, n);
    block[n] = 0x80;
    block[total - 2] = (uint8_t)(n * 8 >> 8);
    block[total - 1] = (uint8_t)(n * 8);
    for (size_t at = 0; at < total; at += 64) {
        for (int i = 0; i < 16; i++) {
            uint32_t word;
            memcpy(&word, block + at + 4 * i, 4);
            w[i] = ntohl(word);
        }
        for (int i = 16; i < 80; i++) w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d
                       : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
            uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
            uint32_t t = rol(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rol(b, 30), b = a, a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) out[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
}

static void base64(const uint8_t in[20], char out[29]) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0, o = 0; i < 20; i += 3) {
        uint32_t v = in[i] << 16 | in[i + 1] << 8 | (i + 2 < 20 ? in[i + 2] : 0);
        for (int k = 18; k >= 0; k -= 6) out[o++] = set[v >> k & 63];
    }
    out[27] = '=';
    out[28] = 0;
}

static void drop(int fd) {
    if (place[fd]) {
        int at = place[fd] - 1, last = viewers[--count];
        viewers[at] = last;
        place[last] = at + 1;
        place[fd] = 0;
    }
    close(fd);
}

/* A request comes in one piece here: the client sends it in one call. */
static void request(int fd) {
    char text[4096], answer[256], accept[29], key[128];
    uint8_t digest[20];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    if (n <= 0) { drop(fd); return; }
    if (place[fd]) return; /* a viewer's pong */
    text[n] = 0;
    char *at = strcasestr(text, "Sec-WebSocket-Key: ");
    if (!at || sscanf(at + 19, "%60s", key) != 1) { drop(fd); return; }
    strcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    sha1(key, digest);
    base64(digest, accept);
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    if (send(fd, answer, (size_t)len, MSG_NOSIGNAL) != len) { drop(fd); return; }
    viewers[count] = fd;
    place[fd] = ++count;
}

static void fan_out(const uint8_t *message, size_t length) {
    static uint8_t frame[HEAD + MAX_MESSAGE];
    size_t head = length < 126 ? 2 : length < 65536 ? 4 : 10;
    frame[0] = 0x82;
    frame[1] = head == 2 ? (uint8_t)length : head == 4 ? 126 : 127;
    for (size_t i = 2; i < head; i++) frame[i] = (uint8_t)((uint64_t)length >> 8 * (head - 1 - i));
    memcpy(frame + head, message, length);
    for (int i = count - 1; i >= 0; i--)
        if (send(viewers[i], frame, head + length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(head + length))
            drop(viewers[i]);
}

static void fed(int fd) {
    ssize_t n = recv(fd, feed + have, sizeof feed - have, 0);
    if (n <= 0) exit(0);
    have += (size_t)n;
    uint32_t length;
    while (have >= 4 && (memcpy(&length, feed, 4), have >= 4 + (length = ntohl(length)))) {
        fan_out(feed + 4, length);
        memmove(feed, feed + 4 + length, have -= 4 + length);
    }
}

static struct sockaddr_in local(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    int one = 1, poll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
    int source = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = local(argv[1]), there = local(argv[2]);
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) die("listen");
    if (connect(source, (void *)&there, sizeof there)) die("feed");
    event.data.fd = listener, epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = source, epoll_ctl(poll, EPOLL_CTL_ADD, source, &event);
    for (;;) {
        int n = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == source) fed(fd);
            else if (fd != listener) request(fd);
            else if ((fd = accept(listener, NULL, NULL)) >= 0 && fd < MAX_FD) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = fd, epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
