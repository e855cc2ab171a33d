/* A relay that does the least that has to be done for a row to be recorded before it leaves, the
 * floor for what records durably: bytes go through unread but for the server's rows, for each of
 * which 96 bytes are written to a file; that is synced before anything of them is passed on, once
 * for all that has come. One thread, epoll, one connection to the server for each client's.
 *
 * relay PORT SERVER_PORT FILE */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES = 65536, EVENTS = 256, RECORD = 96, RECORDS_MAX = 16384 };

/* One end of a relayed connection. */
struct side {
    int socket, is_server, ended;
    struct side *other;
    /* Where the server's messages are: bytes of a header that came, and what is left of a body. */
    unsigned char header[5];
    size_t headed, left;
    /* The answer to a request for encryption is one byte without a header. */
    int asked;
};

struct chunk {
    struct side *from;
    ssize_t length;
};

static unsigned char chunks[EVENTS][BYTES];
static struct chunk waiting[EVENTS];
static unsigned char records[RECORDS_MAX * RECORD];
static size_t recorded;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Counts the rows among the server's bytes. */
static void look(struct side *server, const unsigned char *bytes, ssize_t length) {
    for (ssize_t at = 0; at < length;) {
        if (server->asked) {
            server->asked = 0;
            at++;
        } else if (server->left > 0) {
            size_t here = (size_t)(length - at);
            size_t passed = server->left < here ? server->left : here;
            server->left -= passed;
            at += (ssize_t)passed;
        } else {
            server->header[server->headed++] = bytes[at++];
            if (server->headed < sizeof server->header)
                continue;
            uint32_t size;
            memcpy(&size, server->header + 1, sizeof size);
            server->left = ntohl(size) - sizeof size;
            server->headed = 0;
            if (server->header[0] == 'D' && recorded + RECORD <= sizeof records) {
                memset(records + recorded, (int)at, RECORD);
                recorded += RECORD;
            }
        }
    }
}

static void pass(struct side *to, const unsigned char *bytes, ssize_t length) {
    while (length > 0) {
        ssize_t sent = send(to->socket, bytes, (size_t)length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return;
        bytes += sent;
        length -= sent;
    }
}

static struct side *watch(int epoll, int socket, int is_server) {
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct side *side = calloc(1, sizeof *side);
    if (side == NULL)
        fail("calloc");
    side->socket = socket;
    side->is_server = is_server;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = side};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) < 0)
        fail("epoll_ctl");
    return side;
}

static void begin(int epoll, int listener, const struct sockaddr_in *server) {
    int client = accept(listener, NULL, NULL);
    if (client < 0)
        return;
    int upstream = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(upstream, (const struct sockaddr *)server, sizeof *server) < 0) {
        close(client);
        close(upstream);
        return;
    }
    struct side *one = watch(epoll, client, 0), *two = watch(epoll, upstream, 1);
    one->other = two;
    two->other = one;
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "relay PORT SERVER_PORT FILE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int file = open(arguments[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in own = {.sin_family = AF_INET}, server;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server = own;
    own.sin_port = htons((uint16_t)atoi(arguments[1]));
    server.sin_port = htons((uint16_t)atoi(arguments[2]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (file < 0 || bind(listener, (struct sockaddr *)&own, sizeof own) < 0 ||
        listen(listener, 512) < 0)
        fail("start");
    int epoll = epoll_create1(0);
    struct epoll_event first = {.events = EPOLLIN}, events[EVENTS];
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first) < 0)
        fail("epoll_ctl");
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1), held = 0, ended = 0;
        struct side *gone[EVENTS];
        for (int i = 0; i < ready; i++) {
            struct side *side = events[i].data.ptr;
            if (side == NULL) {
                begin(epoll, listener, &server);
                continue;
            }
            if (side->ended)
                continue;
            unsigned char *bytes = chunks[held];
            ssize_t length = recv(side->socket, bytes, BYTES, 0);
            if (length <= 0) {
                side->ended = side->other->ended = 1;
                gone[ended++] = side;
            } else if (side->is_server) {
                look(side, bytes, length);
                waiting[held++] = (struct chunk){side, length};
            } else {
                uint32_t code = 0;
                if (length >= 8)
                    memcpy(&code, bytes + 4, sizeof code);
                side->other->asked |= length == 8 && ntohl(code) == 80877103;
                pass(side->other, bytes, length);
            }
        }
        if (recorded > 0) {
            if (write(file, records, recorded) < 0 || fdatasync(file) < 0)
                fail("record");
            recorded = 0;
        }
        for (int i = 0; i < held; i++)
            pass(waiting[i].from->other, chunks[i], waiting[i].length);
        for (int i = 0; i < ended; i++) {
            close(gone[i]->socket);
            close(gone[i]->other->socket);
            free(gone[i]->other);
            free(gone[i]);
        }
    }
}
