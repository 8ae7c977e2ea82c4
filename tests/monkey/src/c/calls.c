// What C code does with calls, and what it may expect of errno. Each function gives 0, or the line that failed.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t shared = PTHREAD_MUTEX_INITIALIZER;

// `fd` has a receive timeout, and nothing comes; `pair` are connected.
int errno_rounds(int fd, const int pair[2], int rounds, int mine) {
    pthread_t self = pthread_self();
    pid_t tid = gettid();
    char byte = (char)mine;
    for (int n = 0; n < rounds; n++) {
        errno = 0;
        CHECK(recv(fd, &byte, 1, 0) == -1 && errno == EAGAIN);
        errno = 0;
        CHECK(read(-1, &byte, 1) == -1 && errno == EBADF);
        // What succeeds leaves errno alone, though it has waited, and others have run.
        errno = 1000 + mine;
        CHECK(usleep(50) == 0 && errno == 1000 + mine);
        CHECK(pthread_mutex_lock(&shared) == 0 && errno == 1000 + mine);
        struct timespec little = {0, 1000};
        CHECK(nanosleep(&little, NULL) == 0 && errno == 1000 + mine);
        CHECK(pthread_mutex_unlock(&shared) == 0 && errno == 1000 + mine);
        CHECK(sched_yield() == 0 && errno == 1000 + mine);
        CHECK(write(pair[0], "x", 1) == 1 && errno == 1000 + mine);
        CHECK(read(pair[1], &byte, 1) == 1 && errno == 1000 + mine);
        struct pollfd one = {pair[1], POLLIN, 0};
        CHECK(poll(&one, 1, 0) == 0 && errno == 1000 + mine);
        CHECK(poll(&one, 1, 1) == 0 && errno == 1000 + mine);
        CHECK(gettid() == tid && pthread_equal(self, pthread_self()));
    }
    return 0;
}

// `a` and `b` are a connected stream; another thread writes three bytes to `b`, one after the other.
int several(int a, int silent) {
    // Nothing to wait for but the time.
    CHECK(poll(NULL, 0, 2) == 0);
    struct timeval time = {0, 2000};
    CHECK(select(0, NULL, NULL, NULL, &time) == 0 && time.tv_sec == 0 && time.tv_usec == 0);
    struct timespec short_time = {0, 2000000};
    CHECK(pselect(0, NULL, NULL, NULL, &short_time, NULL) == 0);
    // More than a second of microseconds is fine; what is left comes back.
    fd_set set;
    FD_ZERO(&set);
    FD_SET(a, &set);
    FD_SET(silent, &set);
    int n = (a > silent ? a : silent) + 1;
    time = (struct timeval){20, 2000000};
    CHECK(select(n, &set, NULL, NULL, &time) == 1 && FD_ISSET(a, &set) && !FD_ISSET(silent, &set));
    CHECK(time.tv_sec <= 21 && time.tv_sec > 0);
    char byte;
    CHECK(read(a, &byte, 1) == 1);
    FD_ZERO(&set);
    FD_SET(a, &set);
    CHECK(pselect(n, &set, NULL, NULL, NULL, NULL) == 1);
    CHECK(read(a, &byte, 1) == 1);
    struct pollfd both[3] = {{silent, POLLIN, 0}, {-1, POLLIN, 7}, {a, POLLIN, 0}};
    CHECK(poll(both, 3, -1) == 1 && both[2].revents == POLLIN && both[1].revents == 0);
    CHECK(read(a, &byte, 1) == 1);
    // Nothing is left in the sets when the time is over.
    FD_SET(a, &set);
    time = (struct timeval){0, 2000};
    CHECK(select(n, &set, NULL, NULL, &time) == 0 && !FD_ISSET(a, &set));
    time = (struct timeval){-1, 0};
    errno = 0;
    CHECK(select(n, &set, NULL, NULL, &time) == -1 && errno == EINVAL);
    return 0;
}

// Urgent data, and a hang-up where input is ready but not asked for: neither may be missed, nor spin.
int urgent(int a) {
    struct pollfd one = {a, POLLPRI, 0};
    CHECK(poll(&one, 1, 20000) == 1 && one.revents & POLLPRI);
    char byte;
    CHECK(recv(a, &byte, 1, MSG_OOB) == 1 && byte == '!');
    errno = 0;
    CHECK(recv(a, &byte, 1, MSG_OOB) == -1 && errno != ECANCELED);
    return 0;
}

long cpu_of_idle_poll(int a, int milliseconds) {
    struct timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    struct pollfd one = {a, POLLRDHUP, 0}; // input is there, and nobody asks for it
    if (poll(&one, 1, milliseconds) != 0) return -1;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
}

// Datagrams: `a` is connected to `b`.
int datagrams(int a, int b) {
    char buffer[64];
    CHECK(send(a, "one", 3, 0) == 3);
    // A datagram is one, however much was asked for.
    CHECK(recv(b, buffer, sizeof buffer, MSG_WAITALL) == 3);
    CHECK(send(a, "", 0, 0) == 0 && recv(b, buffer, sizeof buffer, 0) == 0);
    // A read of nothing takes none away.
    CHECK(send(a, "two", 3, 0) == 3);
    struct iovec nothing[2] = {{buffer, 0}, {buffer, 0}};
    CHECK(readv(b, nothing, 2) == 0 && read(b, buffer, 0) == 0);
    CHECK(recv(b, buffer, 1, MSG_TRUNC) == 3);
    // No errors in the queue: that does not wait.
    errno = 0;
    struct msghdr message = {.msg_iov = nothing, .msg_iovlen = 1};
    CHECK(recvmsg(b, &message, MSG_ERRQUEUE) == -1 && errno == EAGAIN);
    // Several at once, also those that come later.
    struct iovec parts[4];
    struct mmsghdr messages[4];
    memset(messages, 0, sizeof messages);
    for (int n = 0; n < 4; n++) {
        parts[n] = (struct iovec){buffer + n, 1};
        messages[n].msg_hdr.msg_iov = &parts[n];
        messages[n].msg_hdr.msg_iovlen = 1;
    }
    CHECK(sendmmsg(a, messages, 4, 0) == 4 && messages[3].msg_len == 1);
    CHECK(recvmmsg(b, messages, 4, 0, NULL) == 4);
    CHECK(sendmmsg(a, messages, 2, 0) == 2);
    CHECK(recvmmsg(b, messages, 4, MSG_WAITFORONE, NULL) == 2);
    CHECK(sendmmsg(a, messages, 0, 0) == 0);
    return 0;
}

// Waits for three datagrams that somebody sends one after the other.
int three_datagrams(int b) {
    char buffer[4];
    struct iovec parts[3];
    struct mmsghdr messages[3];
    memset(messages, 0, sizeof messages);
    for (int n = 0; n < 3; n++) {
        parts[n] = (struct iovec){buffer + n, 1};
        messages[n].msg_hdr.msg_iov = &parts[n];
        messages[n].msg_hdr.msg_iovlen = 1;
    }
    CHECK(recvmmsg(b, messages, 3, 0, NULL) == 3);
    return 0;
}

// All that is written goes, in one call each; `far` is read slowly by somebody.
int large(int near, char *bytes, size_t n) {
    struct iovec parts[3] = {{bytes, n}, {bytes, 0}, {bytes, n}};
    CHECK(writev(near, parts, 3) == (ssize_t)(2 * n));
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    CHECK(sendmsg(near, &message, 0) == (ssize_t)(2 * n));
    struct mmsghdr messages[2] = {{message, 0}, {message, 0}};
    CHECK(sendmmsg(near, messages, 2, 0) == 2);
    CHECK(messages[0].msg_len == 2 * n && messages[1].msg_len == 2 * n);
    CHECK(send(near, bytes, n, 0) == (ssize_t)n);
    CHECK(writev(near, parts, 0) == 0 && writev(near, parts + 1, 1) == 0);
    // Hidden from the compiler, which knows that they are wrong.
    struct iovec *volatile list = parts;
    volatile int count = -1;
    errno = 0;
    CHECK(writev(near, list, count) == -1 && errno == EINVAL);
    count = 5000;
    CHECK(writev(near, list, count) == -1 && errno == EINVAL);
    list = NULL;
    CHECK(writev(near, list, 1) == -1 && errno == EFAULT);
    return 0;
}

// Somebody writes 30 bytes one after the other, and closes after 25 + 5.
int all_of_it(int fd) {
    char buffer[64];
    CHECK(recv(fd, buffer, 10, MSG_WAITALL | MSG_PEEK) == 10 && buffer[9] == 'j');
    CHECK(recv(fd, buffer, 10, MSG_WAITALL) == 10 && buffer[9] == 'j');
    CHECK(recv(fd, buffer, 10, MSG_PEEK) >= 1 && buffer[0] == 'k');
    struct iovec parts[2] = {{buffer, 4}, {buffer + 4, 6}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    CHECK(recvmsg(fd, &message, MSG_WAITALL) == 10 && buffer[9] == 't');
    CHECK(recv(fd, buffer, 60, MSG_WAITALL) == 6 && buffer[5] == 'z');
    CHECK(recv(fd, buffer, 60, MSG_WAITALL) == 0);
    return 0;
}

int pass_descriptor(int over, int fd) {
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {"d", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    CHECK(sendmsg(over, &message, 0) == 1);
    return 0;
}

int take_descriptor(int over) {
    int fd = -1;
    char byte, control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(over, &message, MSG_WAITALL) != 1) return -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_type != SCM_RIGHTS) return -1;
    memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

int names(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    CHECK(getaddrinfo("localhost", "80", &hints, &found) == 0 && found);
    struct sockaddr_in *address = (struct sockaddr_in *)found->ai_addr;
    CHECK(address->sin_port == htons(80) && ntohl(address->sin_addr.s_addr) >> 24 == 127);
    char host[256], service[32];
    CHECK(getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof host, service, sizeof service, 0) == 0);
    CHECK(host[0] && service[0]);
    CHECK(getnameinfo(found->ai_addr, found->ai_addrlen, host, 1, NULL, 0, 0) == EAI_OVERFLOW);
    freeaddrinfo(found);
    hints.ai_family = 4711;
    CHECK(getaddrinfo("localhost", NULL, &hints, &found) == EAI_FAMILY);
    struct hostent entry, *result = NULL;
    char memory[4096];
    int error = 0;
    CHECK(gethostbyname_r("localhost", &entry, memory, sizeof memory, &result, &error) == 0);
    CHECK(result == &entry && entry.h_addr_list[0][0] == 127);
    CHECK(gethostbyname_r("no-such-name.invalid", &entry, memory, sizeof memory, &result, &error) != ENOMEM);
    CHECK(!result && error != 0);
    return 0;
}

static void *blocked(void *what) {
    int fd = *(int *)what;
    char byte;
    if (fd >= 0) { if (read(fd, &byte, 1)) {} } else sleep(100);
    return NULL;
}

// Threads of C's may be cancelled where they wait: the unwinding passes through the hooks.
int cancel(int silent) {
    int fds[2] = {silent, -1};
    for (int n = 0; n < 2; n++) {
        pthread_t thread;
        void *value = NULL;
        CHECK(pthread_create(&thread, NULL, blocked, &fds[n]) == 0);
        usleep(1000);
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &value) == 0 && value == PTHREAD_CANCELED);
    }
    return 0;
}
