// Calls that wait and are no sockets and no locks. Each function gives 0, or the line that failed.
#define _GNU_SOURCE
#include "check.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

// A queue of POSIX's with place for two messages of eight bytes; -1 if the system has none.
int posix_queue(int n) {
    char name[64];
    snprintf(name, sizeof name, "/gw-monkey-%d-%d", getpid(), n);
    struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 8};
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    if (queue >= 0) mq_unlink(name);
    return queue;
}

int posix_sends(int queue, int rounds) {
    for (int n = 0; n < rounds; n++) CHECK(mq_send(queue, (char *)&n, sizeof n, 0) == 0);
    return 0;
}

int posix_receives(int queue, int rounds) {
    char buffer[8];
    struct timespec at = in_ms(CLOCK_REALTIME, 3);
    errno = 0;
    unsigned priority = 0;
    for (int n = 0; n < rounds; n++) {
        errno = 4711;
        CHECK(mq_receive(queue, buffer, sizeof buffer, &priority) == sizeof n && errno == 4711);
        CHECK(memcmp(buffer, &n, sizeof n) == 0);
        if (n % 10 == 0) usleep(100);
    }
    at = in_ms(CLOCK_REALTIME, 3);
    CHECK(mq_timedreceive(queue, buffer, sizeof buffer, NULL, &at) == -1 && errno == ETIMEDOUT);
    at.tv_nsec = -1;
    CHECK(mq_timedreceive(queue, buffer, sizeof buffer, NULL, &at) == -1 && errno == EINVAL);
    return 0;
}

int system_v_queue(void) {
    int queue = msgget(IPC_PRIVATE, 0600);
    struct msqid_ds limits;
    if (msgctl(queue, IPC_STAT, &limits)) return -1;
    limits.msg_qbytes = 64;
    return msgctl(queue, IPC_SET, &limits) ? -1 : queue;
}

struct letter { long kind; char text[24]; };

int system_v_sends(int queue, int rounds) {
    for (int n = 0; n < rounds; n++) {
        struct letter letter = {1 + n % 2, "letter"};
        CHECK(msgsnd(queue, &letter, sizeof letter.text, 0) == 0);
    }
    return 0;
}

int system_v_receives(int queue, int rounds) {
    for (int n = 0; n < rounds; n++) {
        struct letter letter;
        errno = 4711;
        CHECK(msgrcv(queue, &letter, sizeof letter.text, 0, 0) == sizeof letter.text && errno == 4711);
        CHECK(letter.kind == 1 + n % 2);
    }
    errno = 0;
    struct letter letter;
    CHECK(msgrcv(queue, &letter, sizeof letter.text, 0, IPC_NOWAIT) == -1 && errno == ENOMSG);
    CHECK(msgctl(queue, IPC_RMID, NULL) == 0);
    return 0;
}

static volatile sig_atomic_t handled;
static void handler(int signal) { handled = signal; }

// Signals that come to the OS thread later, while others of it run.
int signals(pthread_t *self, volatile int *asked) {
    sigset_t set, old, all_but;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGURG);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    struct timespec little = {0, 3000000};
    errno = 0;
    CHECK(sigtimedwait(&set, NULL, &little) == -1 && errno == EAGAIN);
    *self = pthread_self();
    int signal = 0;
    *asked = 1;
    CHECK(sigwait(&set, &signal) == 0 && signal == SIGUSR1);
    siginfo_t info;
    *asked = 2;
    CHECK(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_signo == SIGUSR1);
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    all_but = old;
    sigdelset(&all_but, SIGUSR1);
    handled = 0;
    *asked = 3;
    errno = 0;
    CHECK(sigsuspend(&all_but) == -1 && errno == EINTR && handled == SIGUSR1);
    // The mask holds for the wait, in whatever call.
    int ends[2];
    CHECK(pipe(ends) == 0);
    struct pollfd one = {ends[0], POLLIN, 0};
    handled = 0;
    *asked = 4;
    CHECK(ppoll(&one, 1, NULL, &all_but) == -1 && errno == EINTR && handled == SIGUSR1);
    fd_set readers;
    FD_ZERO(&readers);
    FD_SET(ends[0], &readers);
    handled = 0;
    *asked = 5;
    CHECK(pselect(ends[0] + 1, &readers, NULL, NULL, NULL, &all_but) == -1 && errno == EINTR && handled == SIGUSR1);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(ppoll(&one, 1, NULL, &all_but) == 1 && one.revents == POLLIN);
    close(ends[0]);
    close(ends[1]);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    return 0;
}

int send_signal(const pthread_t *to) { return pthread_kill(*to, SIGUSR1); }

// Both ends of a FIFO, of which neither opens before the other one does.
int fifo_writes(const char *path, int late) {
    if (late) usleep(20000);
    errno = 4711;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && errno == 4711);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    if (!late) usleep(20000);
    CHECK(write(fd, "hello", 5) == 5);
    CHECK(close(fd) == 0);
    return 0;
}

int fifo_reads(const char *path, int late) {
    if (late) usleep(20000);
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
    char buffer[8];
    CHECK(read(fd, buffer, sizeof buffer) == 5 && memcmp(buffer, "hello", 5) == 0);
    CHECK(read(fd, buffer, sizeof buffer) == 0);
    CHECK(close(fd) == 0);
    // Whoever wants no wait gets none. (A child of another test that has not yet begun its program may read, too.)
    fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK(fd >= 0 ? close(fd) == 0 : errno == ENXIO);
    CHECK((fd = open(path, O_RDWR | O_CLOEXEC)) >= 0 && close(fd) == 0);
    CHECK(open("/no/such/file", O_RDONLY) == -1 && errno == ENOENT);
    return 0;
}

int make_fifo(const char *path) { return mkfifo(path, 0600); }

int terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(slave >= 0 && write(slave, "x\n", 2) == 2);
    char buffer[8];
    CHECK(read(master, buffer, sizeof buffer) > 0);
    CHECK(tcdrain(slave) == 0);
    errno = 0;
    CHECK(tcdrain(999999) == -1 && errno == EBADF);
    close(master);
    close(slave);
    return 0;
}

int command(const char *text) {
    CHECK(system(text) == 0);
    return 0;
}

int commands(const char *seconds) {
    char command[64];
    snprintf(command, sizeof command, "sleep %s; exit 3", seconds);
    errno = 4711;
    int status = system(command);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3 && errno == 4711);
    CHECK(system(NULL) != 0);
    snprintf(command, sizeof command, "exec sleep %s", seconds);
    FILE *stream = popen(command, "r");
    CHECK(stream);
    CHECK(pclose(stream) == 0);
    return 0;
}

int counter(int fd, int rounds) {
    for (int n = 0; n < rounds; n++) {
        eventfd_t value = 0;
        CHECK(eventfd_read(fd, &value) == 0 && value == 7);
    }
    return 0;
}

int count_up(int fd, int rounds) {
    for (int n = 0; n < rounds; n++) {
        CHECK(eventfd_write(fd, 7) == 0);
        usleep(200);
    }
    return 0;
}

// `event` becomes readable when the waits with a time are past.
int event_loop(int event, volatile int *past) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event one = {.events = EPOLLIN, .data.fd = event}, got;
    CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, event, &one) == 0);
    struct timespec little = {0, 2000000};
    CHECK(epoll_pwait2(epoll, &got, 1, &little, NULL) == 0);
    CHECK(epoll_wait(epoll, &got, 1, 2) == 0);
    *past = 1;
    CHECK(epoll_pwait2(epoll, &got, 1, NULL, NULL) == 1 && got.data.fd == event);
    close(epoll);
    return 0;
}

static void ask_at(res_state state, int port) {
    state->nscount = 1;
    memset(&state->nsaddr_list[0], 0, sizeof state->nsaddr_list[0]);
    state->nsaddr_list[0].sin_family = AF_INET;
    state->nsaddr_list[0].sin_port = htons(port);
    state->nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    state->options &= ~(RES_DNSRCH | RES_DEFNAMES);
}

static int is_answer(const unsigned char *answer, int n) {
    static const unsigned char address[4] = {127, 0, 0, 9};
    return n > 16 && (answer[3] & 15) == 0 && memcmp(answer + n - 4, address, 4) == 0;
}

// A name server of ours waits a while before it answers.
int ask_name_server(int port) {
    unsigned char answer[512], question[512];
    struct __res_state state;
    memset(&state, 0, sizeof state);
    CHECK(res_ninit(&state) == 0);
    ask_at(&state, port);
    CHECK(is_answer(answer, res_nquery(&state, "a.test", 1, 1, answer, sizeof answer)));
    CHECK(is_answer(answer, res_nsearch(&state, "a.test", 1, 1, answer, sizeof answer)));
    CHECK(is_answer(answer, res_nquerydomain(&state, "a", "test", 1, 1, answer, sizeof answer)));
    h_errno = 0;
    CHECK(res_nquery(&state, "no.test", 1, 1, answer, sizeof answer) == -1);
    CHECK(h_errno == HOST_NOT_FOUND && state.res_h_errno == HOST_NOT_FOUND);
    int n = res_nmkquery(&state, QUERY, "a.test", 1, 1, NULL, 0, NULL, question, sizeof question);
    CHECK(n > 0);
    CHECK(is_answer(answer, res_nsend(&state, question, n, answer, sizeof answer)));
    // A short buffer is not written over.
    memset(answer, 0x55, sizeof answer);
    CHECK(res_nquery(&state, "a.test", 1, 1, answer, 20) <= 512);
    for (unsigned at = 20; at < sizeof answer; at++) CHECK(answer[at] == 0x55);
    res_nclose(&state);
    // The state of the OS thread, as each one of it changes it.
    CHECK(res_init() == 0);
    ask_at(&_res, port);
    CHECK(is_answer(answer, res_query("a.test", 1, 1, answer, sizeof answer)));
    CHECK(res_init() == 0);
    ask_at(&_res, port);
    CHECK(is_answer(answer, res_search("a.test", 1, 1, answer, sizeof answer)));
    CHECK(res_init() == 0);
    ask_at(&_res, port);
    CHECK(is_answer(answer, res_querydomain("a", "test", 1, 1, answer, sizeof answer)));
    CHECK(res_init() == 0);
    ask_at(&_res, port);
    CHECK(is_answer(answer, res_send(question, n, answer, sizeof answer)));
    h_errno = 0;
    CHECK(res_init() == 0);
    ask_at(&_res, port);
    CHECK(res_query("no.test", 1, 1, answer, sizeof answer) == -1 && h_errno == HOST_NOT_FOUND);
    return 0;
}

int old_names(void) {
    struct hostent *host = gethostbyname("localhost");
    CHECK(host && host->h_addrtype == AF_INET && host->h_addr_list[0][0] == 127);
    host = gethostbyname2("localhost", AF_INET);
    CHECK(host && host->h_length == 4);
    struct in_addr address = {htonl(INADDR_LOOPBACK)};
    host = gethostbyaddr(&address, sizeof address, AF_INET);
    CHECK(host && strcmp(host->h_name, "localhost") == 0);
    CHECK((host = gethostbyname("127.0.0.3")) && host->h_addr_list[0][3] == 3);
    h_errno = 0;
    CHECK(!gethostbyname("no-such-name.invalid") && h_errno != 0);
    struct hostent entry, *found = NULL;
    char memory[4096];
    int error = 0;
    CHECK(gethostbyname2_r("localhost", AF_INET, &entry, memory, sizeof memory, &found, &error) == 0);
    CHECK(found == &entry);
    CHECK(gethostbyaddr_r(&address, sizeof address, AF_INET, &entry, memory, sizeof memory, &found, &error) == 0);
    CHECK(found == &entry && strcmp(entry.h_name, "localhost") == 0);
    CHECK(gethostbyname_r("localhost", &entry, memory, 8, &found, &error) == ERANGE && !found);
    return 0;
}

// All of a file goes to a socket that somebody reads slowly, from a place and from where the file stands.
int send_files(int near, const char *path, long n) {
    int file = open(path, O_RDONLY);
    CHECK(file >= 0);
    off_t at = 10;
    errno = 4711;
    CHECK(sendfile(near, file, &at, n) == n - 10 && at == n && errno == 4711);
    CHECK(lseek(file, 0, SEEK_CUR) == 0);
    CHECK(sendfile(near, file, NULL, 10) == 10 && lseek(file, 0, SEEK_CUR) == 10);
    CHECK(sendfile(near, file, NULL, n) == n - 10 && lseek(file, 0, SEEK_CUR) == n);
    CHECK(sendfile(near, file, NULL, n) == 0);
    errno = 0;
    CHECK(sendfile(near, -1, NULL, n) == -1 && errno == EBADF);
    close(file);
    return 0;
}

// Moves all from one socket to another through a pipe, as a proxy does.
int relay_bytes(int from, int to) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    for (;;) {
        ssize_t n = splice(from, NULL, ends[1], NULL, 1 << 20, 0);
        CHECK(n >= 0);
        if (n == 0) break;
        while (n > 0) {
            ssize_t moved = splice(ends[0], NULL, to, NULL, n, SPLICE_F_MORE);
            CHECK(moved > 0);
            n -= moved;
        }
    }
    errno = 0;
    CHECK(splice(ends[0], NULL, to, NULL, 1, SPLICE_F_NONBLOCK) == -1 && errno == EAGAIN);
    close(ends[1]);
    CHECK(splice(ends[0], NULL, to, NULL, 1, 0) == 0);
    close(ends[0]);
    return 0;
}

// On an OS thread: while others connect, accept, splice and send files, a call that waits is never told to come again.
int never_again(int fd, long n) {
    char buffer[256];
    while (n > 0) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        CHECK(got > 0);
        n -= got;
    }
    return 0;
}

// Waits in a call, and gives the error with which that has ended.
int wait_in(int call, int fd, const char *path) {
    char buffer[64];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    struct letter letter;
    errno = 0;
    int result = -1;
    switch (call) {
    case 0: result = mq_receive(fd, buffer, sizeof buffer, NULL); break;
    case 1: result = msgrcv(fd, &letter, sizeof letter.text, 0, 0); break;
    case 2: result = sigwaitinfo(&set, NULL); break;
    case 3: sigfillset(&set); result = sigsuspend(&set); break;
    case 4: result = open(path, O_RDONLY); break;
    case 5: result = open(path, O_WRONLY); break;
    case 6: result = system("sleep 1"); break;
    case 7: {
        struct __res_state state;
        memset(&state, 0, sizeof state);
        if (res_ninit(&state)) return -1;
        ask_at(&state, fd);
        result = res_nquery(&state, "silent.test", 1, 1, (unsigned char *)buffer, sizeof buffer);
        int error = errno;
        res_nclose(&state);
        errno = error;
        break;
    }
    case 8: result = eventfd_read(fd, (eventfd_t *)buffer); break;
    case 9: result = eventfd_write(fd, 1); break;
    case 10:
    case 11: {
        // Out of an empty pipe into another one.
        int from[2], to[2];
        if (pipe2(from, O_CLOEXEC) || pipe2(to, O_CLOEXEC)) return -1;
        result = call == 10 ? tee(from[0], to[1], 10, 0) : splice(from[0], NULL, to[1], NULL, 10, 0);
        int error = errno;
        for (int n = 0; n < 2; n++)
            if (close(from[n]) || close(to[n])) return -1;
        errno = error;
        break;
    }
    case 12: {
        // Into a socket that is full.
        int from[2], ends[2];
        char much[4096] = {0};
        if (pipe2(from, O_CLOEXEC) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return -1;
        while (send(ends[0], much, sizeof much, MSG_DONTWAIT) > 0) {}
        if (write(from[1], much, sizeof much) != sizeof much) return -1;
        result = splice(from[0], NULL, ends[0], NULL, sizeof much, 0);
        int error = errno, left = 0;
        // What has not gone is still there.
        if (ioctl(from[0], FIONREAD, &left) || left != sizeof much) return -1;
        for (int n = 0; n < 2; n++)
            if (close(from[n]) || close(ends[n])) return -1;
        errno = error;
        break;
    }
    case 13: result = semop(fd, &(struct sembuf){0, -1, 0}, 1); break;
    }
    return result < 0 ? errno : 0;
}

// An eventfd that takes one, and not as many as are to be added: whoever adds them waits.
int nearly_full_counter(void) {
    int fd = eventfd(0, EFD_CLOEXEC);
    return fd >= 0 && eventfd_write(fd, UINT64_MAX - 5) == 0 ? fd : -1;
}

int adds(int fd, long n) {
    CHECK(eventfd_write(fd, n) == 0);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
    return 0;
}

int counts(int fd, unsigned long n) {
    eventfd_t value = 0;
    CHECK(eventfd_read(fd, &value) == 0 && value == n);
    return 0;
}

// An eventfd that takes nothing more.
int full_counter(void) {
    int fd = eventfd(0, EFD_CLOEXEC);
    return fd >= 0 && eventfd_write(fd, UINT64_MAX - 1) == 0 ? fd : -1;
}

// Those who wait for an object of System V's learn that it is gone.
int semaphores(void) { return semget(IPC_PRIVATE, 1, 0600); }
int remove_queue(int queue) { return msgctl(queue, IPC_RMID, NULL); }
int remove_semaphores(int set) { return semctl(set, 0, IPC_RMID); }
int fills_queue(int queue) {
    struct letter letter = {1, "letter"};
    while (msgsnd(queue, &letter, sizeof letter.text, 0) == 0) {}
    return errno;
}

// A command that writes its number into a file, and takes its time. Gives the number of the pipe to it.
FILE *slow_command(const char *path, unsigned long *pipe) {
    char command[512];
    snprintf(command, sizeof command, "echo $$ > %s; exec sleep 0.5", path);
    FILE *stream = popen(command, "r");
    struct stat status;
    if (!stream || fstat(fileno(stream), &status)) return NULL;
    *pipe = status.st_ino;
    return stream;
}

int close_command(FILE *stream) { return pclose(stream); }

// A descriptor of a process may itself say that nobody is to wait.
int impatient_descriptor(void) {
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    CHECK(child > 0);
    int fd = syscall(SYS_pidfd_open, child, O_NONBLOCK);
    siginfo_t info;
    errno = 0;
    int result = waitid(P_PIDFD, fd, &info, WEXITED), error = errno;
    CHECK(kill(child, SIGKILL) == 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(close(fd) == 0);
    // A kernel of before 5.10 has no such descriptors.
    CHECK(fd < 0 || (result == -1 && error == EAGAIN));
    return 0;
}

extern pthread_spinlock_t spinlock;

// One of many calls, whose end counts as little as that of a thread that is killed in it.
void any_step(int which, int queue, int counter, const char *path, int port, int near) {
    static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static volatile int inside;
    char buffer[64] = {0};
    struct timespec at = in_ms(CLOCK_REALTIME, 2), little = {0, 500000};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    int fd;
    switch (which) {
    case 0: mq_timedreceive(queue, buffer, sizeof buffer, NULL, &at); break;
    case 1: mq_timedsend(queue, buffer, 8, 0, &at); break;
    case 2: sigtimedwait(&set, NULL, &little); break;
    case 3: eventfd_write(counter, 1); eventfd_read(counter, (eventfd_t *)buffer); break;
    case 4:
    case 5:
        fd = open(path, which == 4 ? O_RDONLY | O_CLOEXEC : O_WRONLY | O_CLOEXEC);
        if (fd >= 0) close(fd);
        break;
    case 6:
        pthread_spin_lock(&spinlock);
        if (inside++) abort();
        usleep(20);
        inside--;
        pthread_spin_unlock(&spinlock);
        break;
    case 7:
        pthread_rwlock_rdlock(&rwlock);
        usleep(20);
        pthread_rwlock_unlock(&rwlock);
        break;
    case 8:
        pthread_rwlock_wrlock(&rwlock);
        usleep(20);
        pthread_rwlock_unlock(&rwlock);
        break;
    case 9:
        if (pthread_mutex_timedlock(&mutex, &at) == 0) {
            usleep(20);
            pthread_mutex_unlock(&mutex);
        }
        break;
    case 10: {
        struct __res_state state;
        memset(&state, 0, sizeof state);
        if (res_ninit(&state)) abort();
        ask_at(&state, port);
        res_nquery(&state, "a.test", 1, 1, (unsigned char *)buffer, sizeof buffer);
        res_nclose(&state);
        break;
    }
    case 11: gethostbyname("localhost"); break;
    case 12:
        fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        if (sendfile(near, fd, NULL, 100000) > 100000) abort();
        close(fd);
        break;
    case 13: system("exit 0"); break;
    }
}
