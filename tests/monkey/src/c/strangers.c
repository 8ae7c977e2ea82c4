// A library of somebody's, which is loaded later and knows nothing of green threads: a pool of threads, a main
// loop, a constructor and destructors that wait, children, signals. Each function gives 0, or the line that failed.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile int constructed;
static pthread_mutex_t of_constructor = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    pthread_mutex_lock(&of_constructor);
    usleep(30000);
    constructed++;
    pthread_mutex_unlock(&of_constructor);
}

int constructed_once(void) {
    CHECK(constructed == 1);
    return 0;
}

// A pool of threads, as C programs have them: a list of jobs, and a condition for each job.
struct job {
    struct job *next;
    int value, done;
    pthread_mutex_t lock;
    pthread_cond_t ended;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct job *jobs;
    int stop;
    pthread_t threads[4];
    pthread_key_t key;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static volatile int destroyed;

// A destructor of a thread's own value, which waits in several ways.
static void destructor(void *value) {
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec = (at.tv_nsec + 2000000) % 1000000000;
    sem_timedwait(&semaphore, &at);
    usleep(1000);
    pthread_mutex_lock(&pool.lock);
    int ends[2];
    if (pipe(ends) == 0 && write(ends[1], value, 1) == 1 && read(ends[0], &(char){0}, 1) == 1) destroyed++;
    close(ends[0]);
    close(ends[1]);
    pthread_mutex_unlock(&pool.lock);
    int file = open("/dev/null", O_RDONLY);
    if (file >= 0) close(file);
}

static void *serve(void *argument) {
    (void)argument;
    static char byte;
    pthread_setspecific(pool.key, &byte);
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (!pool.jobs && !pool.stop) pthread_cond_wait(&pool.came, &pool.lock);
        struct job *job = pool.jobs;
        if (!job) break;
        pool.jobs = job->next;
        pthread_mutex_unlock(&pool.lock);
        if (job->value % 8 == 0) usleep(100);
        pthread_mutex_lock(&job->lock);
        job->value++;
        job->done = 1;
        pthread_cond_signal(&job->ended);
        pthread_mutex_unlock(&job->lock);
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

int pool_start(void) {
    CHECK(pthread_key_create(&pool.key, destructor) == 0);
    for (int n = 0; n < 4; n++) CHECK(pthread_create(&pool.threads[n], NULL, serve, NULL) == 0);
    return 0;
}

int pool_use(int rounds) {
    for (int n = 0; n < rounds; n++) {
        struct job job = {.value = n, .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
        CHECK(pthread_mutex_lock(&pool.lock) == 0);
        job.next = pool.jobs;
        pool.jobs = &job;
        CHECK(pthread_cond_signal(&pool.came) == 0);
        CHECK(pthread_mutex_unlock(&pool.lock) == 0);
        CHECK(pthread_mutex_lock(&job.lock) == 0);
        while (!job.done) CHECK(pthread_cond_wait(&job.ended, &job.lock) == 0);
        CHECK(pthread_mutex_unlock(&job.lock) == 0);
        CHECK(job.value == n + 1);
        CHECK(pthread_cond_destroy(&job.ended) == 0 && pthread_mutex_destroy(&job.lock) == 0);
    }
    return 0;
}

int pool_stop(void) {
    CHECK(pthread_mutex_lock(&pool.lock) == 0);
    pool.stop = 1;
    CHECK(pthread_cond_broadcast(&pool.came) == 0);
    CHECK(pthread_mutex_unlock(&pool.lock) == 0);
    for (int n = 0; n < 4; n++) CHECK(pthread_join(pool.threads[n], NULL) == 0);
    CHECK(destroyed == 4);
    return 0;
}

// A main loop: sources that are ready, timeouts, and others that wake it by a counter.
struct loop { int wakes; volatile int quit, woken; pthread_mutex_t lock; };

static void *waker(void *of) {
    struct loop *loop = of;
    for (int n = 0; n < 20; n++) {
        usleep(500);
        if (eventfd_write(loop->wakes, 1)) break;
    }
    pthread_mutex_lock(&loop->lock);
    loop->quit = 1;
    pthread_mutex_unlock(&loop->lock);
    eventfd_write(loop->wakes, 1);
    return NULL;
}

int main_loop(void) {
    struct loop loop = {.wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .lock = PTHREAD_MUTEX_INITIALIZER};
    CHECK(loop.wakes >= 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waker, &loop) == 0);
    int timeouts = 0;
    for (;;) {
        struct pollfd fds[2] = {{loop.wakes, POLLIN, 0}, {-1, POLLIN, 0}};
        int n = poll(fds, 2, 1);
        CHECK(n >= 0);
        if (n == 0) timeouts++;
        if (fds[0].revents) {
            eventfd_t value;
            errno = 0;
            CHECK(eventfd_read(loop.wakes, &value) == 0 && value > 0);
            CHECK(eventfd_read(loop.wakes, &value) == -1 || value > 0);
            loop.woken++;
        }
        pthread_mutex_lock(&loop.lock);
        int quit = loop.quit;
        pthread_mutex_unlock(&loop.lock);
        if (quit) break;
    }
    CHECK(loop.woken > 0);
    CHECK(pthread_join(thread, NULL) == 0);
    close(loop.wakes);
    return 0;
}

// A child on our memory that writes, reads and sleeps before it becomes a program: no other green thread may
// run in it.
static pthread_mutex_t contended = PTHREAD_MUTEX_INITIALIZER;
static sem_t is_held;

static void *hold_for_a_while(void *nothing) {
    pthread_mutex_lock(&contended);
    sem_post(&is_held);
    usleep(3000);
    pthread_mutex_unlock(&contended);
    return nothing;
}

int child_on_our_memory(const volatile int *ran, int alone) {
    int ends[2];
    pthread_t holder;
    CHECK(sem_init(&is_held, 0, 0) == 0);
    CHECK(pthread_create(&holder, NULL, hold_for_a_while, NULL) == 0 && sem_wait(&is_held) == 0);
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    volatile int before = 0, after = -1;
    static char *arguments[] = {"true", NULL};
    pid_t child = vfork();
    if (child == 0) {
        before = *ran;
        if (pthread_mutex_lock(&contended) || pthread_mutex_unlock(&contended)) _exit(1);
        char bytes[100] = {0};
        for (int n = 0; n < 100; n++)
            if (write(ends[1], bytes, sizeof bytes) != sizeof bytes || read(ends[0], bytes, sizeof bytes) != sizeof bytes) _exit(1);
        usleep(2000);
        struct pollfd one = {ends[0], POLLIN, 0};
        if (poll(&one, 1, 2) != 0) _exit(1);
        int file = open("/dev/null", O_RDONLY);
        close(file);
        after = *ran;
        execv("/bin/true", arguments);
        _exit(1);
    }
    CHECK(child > 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    // With other workers the parent goes on meanwhile.
    CHECK(!alone || before == after);
    close(ends[0]);
    close(ends[1]);
    CHECK(pthread_join(holder, NULL) == 0);
    return 0;
}

int spawned(void) {
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, ends[1], 1) == 0);
    char *arguments[] = {"sh", "-c", "sleep 0.1; echo hello", NULL};
    pid_t child;
    CHECK(posix_spawnp(&child, "sh", &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    char buffer[16];
    CHECK(read(ends[0], buffer, sizeof buffer) == 6 && memcmp(buffer, "hello\n", 6) == 0);
    CHECK(read(ends[0], buffer, sizeof buffer) == 0);
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}

// Handlers of signals that make calls, while the interrupted code is in a call itself.
static sem_t of_handler;
static int counter = -1;
static volatile sig_atomic_t handled;

static void handler(int signal) {
    (void)signal;
    int error = errno;
    sem_post(&of_handler);
    eventfd_write(counter, 1);
    int file = open("/dev/null", O_RDONLY);
    if (file >= 0) close(file);
    handled++;
    errno = error;
}

static void *hits(void *at) {
    pthread_t victim = *(pthread_t *)at;
    for (int n = 0; n < 300; n++) {
        pthread_kill(victim, SIGUSR2);
        usleep(50);
    }
    return NULL;
}

int interrupted(void) {
    CHECK(sem_init(&of_handler, 0, 0) == 0);
    counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    pthread_t self = pthread_self(), thread;
    CHECK(pthread_create(&thread, NULL, hits, &self) == 0);
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    for (int n = 0; n < 300; n++) {
        char byte = 1;
        struct timespec at;
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_sec++;
        int waited = sem_timedwait(&of_handler, &at);
        if (waited && errno == ETIMEDOUT) break; // some signals were one
        CHECK(waited == 0 || errno == EINTR);
        CHECK(pthread_mutex_lock(&lock) == 0);
        CHECK(write(pair[0], &byte, 1) == 1);
        CHECK(read(pair[1], &byte, 1) == 1);
        CHECK(pthread_mutex_unlock(&lock) == 0);
    }
    CHECK(handled > 0);
    CHECK(pthread_join(thread, NULL) == 0);
    close(pair[0]);
    close(pair[1]);
    return 0;
}
