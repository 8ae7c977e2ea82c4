// C code and other processes. Each function gives 0, or the line that failed.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static int lock(int fd, int kind, int wait) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    switch (kind) {
    case 0: return fcntl(fd, wait ? F_SETLKW : F_SETLK, &whole);
    case 1: return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &whole);
    case 2: return flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
    default: return lockf(fd, wait ? F_LOCK : F_TLOCK, 0);
    }
}

// A child holds the lock for `ms`; we wait for it.
int lock_of_another_process(const char *path, int kind, int ms) {
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int fd = open(path, O_RDWR);
        if (fd < 0 || lock(fd, kind, 1) || write(ready[1], "r", 1) != 1) _exit(1);
        usleep(ms * 1000);
        _exit(0);
    }
    char byte;
    close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    errno = 0;
    CHECK(lock(fd, kind, 0) == -1 && (errno == EAGAIN || errno == EACCES));
    CHECK(lock(fd, kind, 1) == 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(fd);
    return 0;
}

static pid_t child_of(int ms, int code) {
    pid_t child = fork();
    if (child == 0) {
        usleep(ms * 1000);
        _exit(code);
    }
    return child;
}

int wait_for_children(int ms) {
    int status;
    pid_t child = child_of(ms, 7);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
    errno = 0;
    CHECK(waitpid(child, &status, 0) == -1 && errno == ECHILD);
    child = child_of(ms, 8);
    siginfo_t info;
    CHECK(waitid(P_PID, child, &info, WEXITED | WNOWAIT) == 0 && info.si_pid == child && info.si_status == 8);
    CHECK(waitid(P_PID, child, NULL, WEXITED) == 0);
    child = child_of(0, 0);
    CHECK(waitpid(child, &status, WNOHANG) >= 0);
    CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno == ECHILD);
    waitpid(child, &status, 0);
    return 0;
}

int wait_for_any(int ms) {
    int status;
    pid_t child = child_of(ms, 9);
    CHECK(wait(&status) == child && WEXITSTATUS(status) == 9);
    return 0;
}

// A child closes and copies descriptors under numbers that green threads of the parent wait for, and then
// becomes another program: with its own memory, or with that of its parent.
pid_t child_that_closes(int fd, int shares_memory) {
    static char *arguments[] = {"true", NULL};
    pid_t child = shares_memory ? vfork() : fork();
    if (child == 0) {
        for (int n = 0; n < 200; n++) dup2(2, fd); // as often as it takes to meet a lock that was held
        close(fd);
        execv("/bin/true", arguments);
        _exit(1);
    }
    return child;
}

// More calls than a green thread may make before it gives way, in a child of its own memory.
int busy_child(const char *path) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int fd = open(path, O_RDWR), ends[2];
        char bytes[16] = {0};
        if (pipe(ends)) _exit(1);
        for (int n = 0; n < 1000; n++)
            if (write(ends[1], bytes, sizeof bytes) != sizeof bytes || read(ends[0], bytes, sizeof bytes) != sizeof bytes) _exit(2);
        for (int n = 0; n < 1000; n++)
            if (write(fd, bytes, 1) != 1) _exit(3);
        usleep(100);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

static int pipe_of_handler[2];
static volatile sig_atomic_t handled;

static void handler(int signal) {
    (void)signal;
    char byte = 1;
    for (int n = 0; n < 100; n++) {
        if (write(pipe_of_handler[1], &byte, 1) != 1) return;
        if (read(pipe_of_handler[0], &byte, 1) != 1) return;
    }
    handled++;
}

int handle_signals(void) {
    CHECK(pipe2(pipe_of_handler, O_NONBLOCK | O_CLOEXEC) == 0);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    return 0;
}

// The handler runs on a green thread's stack, and makes many calls: no other green thread may run below.
int raise_signals(int rounds, const volatile int *others_ran) {
    for (int n = 0; n < rounds; n++) {
        int before = handled, ran = *others_ran;
        CHECK(raise(SIGUSR2) == 0);
        CHECK(handled == before + 1 && *others_ran == ran);
    }
    return 0;
}
