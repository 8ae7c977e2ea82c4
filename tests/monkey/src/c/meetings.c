// Barriers, and locks of C that are rarer than mutexes. Each function gives 0, or the line that failed.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>

struct meeting {
    pthread_barrier_t barrier;
    int n, left;
    volatile long *leaders;
    volatile int *rounds; // of each one who takes part
};

struct meeting *meeting_new(int n, int rounds) {
    struct meeting *meeting = calloc(1, sizeof *meeting);
    if (pthread_barrier_init(&meeting->barrier, NULL, n)) return NULL;
    meeting->n = meeting->left = n;
    meeting->leaders = calloc(rounds, sizeof *meeting->leaders);
    meeting->rounds = calloc(n, sizeof *meeting->rounds);
    return meeting;
}

// Nobody is a round ahead of anybody, and one of a round leads. The last one takes all down.
int meet(struct meeting *meeting, int rounds, int mine) {
    for (int round = 0; round < rounds; round++) {
        meeting->rounds[mine] = round + 1;
        if ((mine + round) % 7 == 0) usleep(50);
        errno = 1000 + mine;
        int result = pthread_barrier_wait(&meeting->barrier);
        CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
        CHECK(errno == 1000 + mine);
        if (result) __atomic_add_fetch(&meeting->leaders[round], 1, __ATOMIC_SEQ_CST);
        for (int n = 0; n < meeting->n; n++)
            CHECK(meeting->rounds[n] == round + 1 || meeting->rounds[n] == round + 2);
    }
    if (__atomic_sub_fetch(&meeting->left, 1, __ATOMIC_SEQ_CST)) return 0;
    for (int round = 0; round < rounds; round++) CHECK(meeting->leaders[round] == 1);
    CHECK(pthread_barrier_destroy(&meeting->barrier) == 0);
    free((void *)meeting->leaders);
    free((void *)meeting->rounds);
    free(meeting);
    return 0;
}

// Whoever leads destroys the barrier at once, though others may not have left, and makes another one there.
struct relay { pthread_barrier_t barrier; volatile int generation; };

struct relay *relay_new(int n) {
    struct relay *relay = calloc(1, sizeof *relay);
    return pthread_barrier_init(&relay->barrier, NULL, n) ? NULL : relay;
}

int run_relay(struct relay *relay, int n, int rounds) {
    for (int round = 0; round < rounds; round++) {
        int result = pthread_barrier_wait(&relay->barrier);
        if (result == PTHREAD_BARRIER_SERIAL_THREAD) {
            CHECK(pthread_barrier_destroy(&relay->barrier) == 0);
            CHECK(pthread_barrier_init(&relay->barrier, NULL, n) == 0);
            relay->generation = round + 1;
        } else {
            CHECK(result == 0);
            while (relay->generation <= round) usleep(20);
        }
    }
    return 0;
}

static void *soon(void *ms) {
    usleep(1000 * (long)ms);
    return ms;
}

int rarer_locks(void) {
    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    CHECK(pthread_rwlock_wrlock(&lock) == 0);
    struct timespec at = in_ms(CLOCK_MONOTONIC, 3);
    CHECK(pthread_rwlock_clockrdlock(&lock, CLOCK_MONOTONIC, &at) == ETIMEDOUT);
    at = in_ms(CLOCK_MONOTONIC, 3);
    CHECK(pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &at) == ETIMEDOUT);
    CHECK(pthread_rwlock_unlock(&lock) == 0);
    pthread_t thread;
    void *value = NULL;
    CHECK(pthread_create(&thread, NULL, soon, (void *)50) == 0);
    at = in_ms(CLOCK_REALTIME, 2);
    CHECK(pthread_timedjoin_np(thread, &value, &at) == ETIMEDOUT);
    at = in_ms(CLOCK_MONOTONIC, 2);
    CHECK(pthread_clockjoin_np(thread, &value, CLOCK_MONOTONIC, &at) == ETIMEDOUT);
    at = in_ms(CLOCK_MONOTONIC, 20000);
    CHECK(pthread_clockjoin_np(thread, &value, CLOCK_MONOTONIC, &at) == 0 && value == (void *)50);
    // Those that cannot be joined are not waited for.
    int result = pthread_join(pthread_self(), NULL);
    CHECK(result == EDEADLK || result == EINVAL);
    pthread_attr_t detached;
    CHECK(pthread_attr_init(&detached) == 0);
    CHECK(pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0);
    CHECK(pthread_create(&thread, &detached, soon, (void *)3000) == 0);
    CHECK(pthread_join(thread, NULL) == EINVAL);
    CHECK(pthread_attr_destroy(&detached) == 0);
    int set = semget(IPC_PRIVATE, 2, 0600);
    CHECK(set >= 0);
    struct sembuf take = {0, -1, SEM_UNDO}, both[2] = {{0, 1, 0}, {1, 0, 0}};
    struct timespec little = {0, 3000000};
    errno = 0;
    CHECK(semtimedop(set, &take, 1, &little) == -1 && errno == EAGAIN);
    errno = 4711;
    CHECK(semop(set, both, 2) == 0 && semop(set, &take, 1) == 0 && errno == 4711);
    take.sem_flg = IPC_NOWAIT;
    CHECK(semop(set, &take, 1) == -1 && errno == EAGAIN);
    CHECK(semctl(set, 0, IPC_RMID) == 0);
    return 0;
}

// A lock that is held over a wait, of a kind that waits by turning round and round.
pthread_spinlock_t spinlock;
static volatile int spun;
__attribute__((constructor)) static void begin(void) { pthread_spin_init(&spinlock, 0); }

int spin(int rounds) {
    for (int round = 0; round < rounds; round++) {
        CHECK(pthread_spin_lock(&spinlock) == 0);
        CHECK(++spun == 1);
        usleep(50);
        CHECK(spun-- == 1);
        CHECK(pthread_spin_unlock(&spinlock) == 0);
    }
    return 0;
}

// Readers that are never all gone, and one who writes: it is let in if the lock puts those first.
struct crowd { pthread_rwlock_t lock; volatile int writes, stop; };

struct crowd *crowd_new(void) {
    struct crowd *crowd = calloc(1, sizeof *crowd);
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    return pthread_rwlock_init(&crowd->lock, &attributes) ? NULL : crowd;
}

int crowd_reads(struct crowd *crowd) {
    while (!crowd->stop) {
        CHECK(pthread_rwlock_rdlock(&crowd->lock) == 0);
        usleep(1000);
        CHECK(pthread_rwlock_unlock(&crowd->lock) == 0);
    }
    return 0;
}

int crowd_writes(struct crowd *crowd, int times) {
    for (int n = 0; n < times; n++) {
        CHECK(pthread_rwlock_wrlock(&crowd->lock) == 0);
        crowd->writes++;
        CHECK(pthread_rwlock_unlock(&crowd->lock) == 0);
        usleep(1000);
    }
    crowd->stop = 1;
    return 0;
}

// What one who is to end gets from a semaphore: its time is over early; without one it waits on.
int semaphore_of_one_who_ends(sem_t *semaphore, int has_time) {
    struct timespec at = in_ms(CLOCK_REALTIME, 3600000);
    errno = 0;
    int result = has_time ? sem_timedwait(semaphore, &at) : sem_wait(semaphore);
    return result == 0 ? 0 : errno;
}

sem_t *semaphore_new(void) {
    sem_t *semaphore = calloc(1, sizeof *semaphore);
    return sem_init(semaphore, 0, 0) ? NULL : semaphore;
}

int mutex_of_one_who_ends(pthread_mutex_t *mutex) {
    struct timespec at = in_ms(CLOCK_REALTIME, 3600000);
    return pthread_mutex_timedlock(mutex, &at);
}

// A holder that is told.
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
int hold(int ms) {
    CHECK(pthread_mutex_lock(&held) == 0);
    usleep(1000 * ms);
    CHECK(pthread_mutex_unlock(&held) == 0);
    return 0;
}
