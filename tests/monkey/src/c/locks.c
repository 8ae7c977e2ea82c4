// C's locks. Each function gives 0, or the line that failed.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

// One of everything, shared by all who take part.
struct room {
    pthread_mutex_t mutexes[3]; // plain, recursive, checking
    volatile long counts[3];
    volatile int inside[3];
    pthread_mutex_t lock;
    pthread_cond_t came, room;
    int items, taken, most;
    pthread_rwlock_t rwlock;
    volatile long read_by, written;
    sem_t semaphore;
    volatile int in_semaphore, most_in_semaphore;
    mtx_t mtx;
    cnd_t cnd;
    int turn;
};

struct room *room_new(void) {
    struct room *room = calloc(1, sizeof *room);
    int kinds[3] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK};
    for (int n = 0; n < 3; n++) {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_settype(&attributes, kinds[n]);
        pthread_mutex_init(&room->mutexes[n], &attributes);
        pthread_mutexattr_destroy(&attributes);
    }
    pthread_mutex_init(&room->lock, NULL);
    pthread_cond_init(&room->came, NULL);
    pthread_cond_init(&room->room, NULL);
    pthread_rwlock_init(&room->rwlock, NULL);
    sem_init(&room->semaphore, 0, 3);
    mtx_init(&room->mtx, mtx_timed);
    cnd_init(&room->cnd);
    return room;
}

int room_free(struct room *room, long mutexes, long writes) {
    for (int n = 0; n < 3; n++) {
        CHECK(room->counts[n] == mutexes);
        CHECK(pthread_mutex_destroy(&room->mutexes[n]) == 0);
    }
    CHECK(room->written == writes && room->most_in_semaphore <= 3 && room->items == 0);
    CHECK(pthread_mutex_destroy(&room->lock) == 0);
    CHECK(pthread_cond_destroy(&room->came) == 0 && pthread_cond_destroy(&room->room) == 0);
    CHECK(pthread_rwlock_destroy(&room->rwlock) == 0 && sem_destroy(&room->semaphore) == 0);
    free(room);
    return 0;
}

// Each mutex is held over a wait, and nobody else is inside.
int use_mutexes(struct room *room, int rounds) {
    for (int round = 0; round < rounds; round++)
        for (int n = 0; n < 3; n++) {
            CHECK(pthread_mutex_lock(&room->mutexes[n]) == 0);
            CHECK(++room->inside[n] == 1);
            if (n == 1) {
                CHECK(pthread_mutex_lock(&room->mutexes[n]) == 0);
                CHECK(pthread_mutex_trylock(&room->mutexes[n]) == 0);
                usleep(20);
                CHECK(room->inside[n] == 1);
                CHECK(pthread_mutex_unlock(&room->mutexes[n]) == 0);
                CHECK(pthread_mutex_unlock(&room->mutexes[n]) == 0);
            } else if (n == 2) {
                CHECK(pthread_mutex_lock(&room->mutexes[n]) == EDEADLK);
            }
            usleep(20);
            room->counts[n]++;
            CHECK(room->inside[n]-- == 1);
            CHECK(pthread_mutex_unlock(&room->mutexes[n]) == 0);
            if (n == 2) CHECK(pthread_mutex_unlock(&room->mutexes[n]) == EPERM);
        }
    return 0;
}

int put(struct room *room, int n) {
    while (n-- > 0) {
        CHECK(pthread_mutex_lock(&room->lock) == 0);
        while (room->items == 3) CHECK(pthread_cond_wait(&room->room, &room->lock) == 0);
        room->items++;
        CHECK(pthread_cond_signal(&room->came) == 0);
        CHECK(pthread_mutex_unlock(&room->lock) == 0);
    }
    return 0;
}

int take(struct room *room, int n) {
    while (n-- > 0) {
        CHECK(pthread_mutex_lock(&room->lock) == 0);
        while (room->items == 0) {
            struct timespec at = in_ms(CLOCK_REALTIME, 5);
            int result = n % 2 ? pthread_cond_wait(&room->came, &room->lock)
                               : pthread_cond_timedwait(&room->came, &room->lock, &at);
            CHECK(result == 0 || result == ETIMEDOUT);
        }
        room->items--;
        CHECK(pthread_mutex_unlock(&room->lock) == 0);
        CHECK(pthread_cond_signal(&room->room) == 0);
    }
    return 0;
}

int read_and_write(struct room *room, int rounds, int writes) {
    for (int round = 0; round < rounds; round++) {
        if (writes) {
            CHECK(pthread_rwlock_wrlock(&room->rwlock) == 0);
            long was = room->written;
            usleep(20);
            CHECK(room->written == was);
            room->written = was + 1;
        } else {
            CHECK(pthread_rwlock_rdlock(&room->rwlock) == 0);
            long was = room->written;
            usleep(20);
            CHECK(room->written == was);
        }
        CHECK(pthread_rwlock_unlock(&room->rwlock) == 0);
    }
    return 0;
}

int use_semaphore(struct room *room, int rounds) {
    for (int round = 0; round < rounds; round++) {
        CHECK(sem_wait(&room->semaphore) == 0);
        int now = __atomic_add_fetch(&room->in_semaphore, 1, __ATOMIC_SEQ_CST);
        if (now > room->most_in_semaphore) room->most_in_semaphore = now;
        usleep(20);
        __atomic_sub_fetch(&room->in_semaphore, 1, __ATOMIC_SEQ_CST);
        CHECK(sem_post(&room->semaphore) == 0);
    }
    return 0;
}

// Two that hand the turn to one another with C11's names.
int ping_pong(struct room *room, int rounds, int mine) {
    for (int round = 0; round < rounds; round++) {
        CHECK(mtx_lock(&room->mtx) == thrd_success);
        while (room->turn != mine) CHECK(cnd_wait(&room->cnd, &room->mtx) == thrd_success);
        CHECK(mtx_trylock(&room->mtx) == thrd_busy);
        thrd_sleep(&(struct timespec){0, 1000}, NULL);
        room->turn = !mine;
        CHECK(cnd_broadcast(&room->cnd) == thrd_success);
        CHECK(mtx_unlock(&room->mtx) == thrd_success);
    }
    return 0;
}

static int soon(void *value) {
    usleep(2000);
    return *(int *)value + 1;
}

static int initialised;
static void initialise(void) {
    usleep(3000);
    initialised++;
}

int time_limits(void) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    // A time that is none counts only for who has to wait.
    struct timespec at = {0, -1};
    CHECK(pthread_mutex_timedlock(&lock, &at) == 0);
    CHECK(pthread_mutex_timedlock(&lock, &at) == EINVAL);
    at = in_ms(CLOCK_REALTIME, 3);
    CHECK(pthread_mutex_timedlock(&lock, &at) == ETIMEDOUT);
    CHECK(pthread_mutex_trylock(&lock) == EBUSY);
    at = in_ms(CLOCK_REALTIME, 3);
    CHECK(pthread_cond_timedwait(&never, &lock, &at) == ETIMEDOUT);
    at = in_ms(CLOCK_MONOTONIC, 3);
    CHECK(pthread_cond_clockwait(&never, &lock, CLOCK_MONOTONIC, &at) == ETIMEDOUT);
    at.tv_nsec = -1;
    CHECK(pthread_cond_timedwait(&never, &lock, &at) == EINVAL);
    CHECK(pthread_mutex_unlock(&lock) == 0);
    pthread_cond_t monotonic;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&monotonic, &attributes);
    CHECK(pthread_mutex_lock(&lock) == 0);
    at = in_ms(CLOCK_MONOTONIC, 3);
    CHECK(pthread_cond_timedwait(&monotonic, &lock, &at) == ETIMEDOUT);
    CHECK(pthread_mutex_unlock(&lock) == 0);
    sem_t none;
    sem_init(&none, 0, 0);
    at = in_ms(CLOCK_REALTIME, 3);
    errno = 0;
    CHECK(sem_timedwait(&none, &at) == -1 && errno == ETIMEDOUT);
    pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
    CHECK(pthread_rwlock_rdlock(&rwlock) == 0 && pthread_rwlock_rdlock(&rwlock) == 0);
    at = in_ms(CLOCK_REALTIME, 3);
    CHECK(pthread_rwlock_timedwrlock(&rwlock, &at) == ETIMEDOUT);
    at = in_ms(CLOCK_MONOTONIC, 3);
    CHECK(pthread_rwlock_clockwrlock(&rwlock, CLOCK_MONOTONIC, &at) == ETIMEDOUT);
    CHECK(pthread_rwlock_unlock(&rwlock) == 0 && pthread_rwlock_unlock(&rwlock) == 0);
    thrd_t thread;
    int value = 4;
    CHECK(thrd_create(&thread, soon, &value) == thrd_success);
    CHECK(thrd_join(thread, &value) == thrd_success && value == 5);
    return 0;
}

int once(void) {
    static pthread_once_t control = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&control, initialise) == 0);
    CHECK(initialised == 1);
    return 0;
}

// The last one who was woken frees what it waited with.
struct brief { pthread_mutex_t lock; pthread_cond_t condition; int set; };

struct brief *brief_new(void) {
    struct brief *brief = calloc(1, sizeof *brief);
    pthread_mutex_init(&brief->lock, NULL);
    pthread_cond_init(&brief->condition, NULL);
    return brief;
}

int brief_wait(struct brief *brief) {
    CHECK(pthread_mutex_lock(&brief->lock) == 0);
    while (!brief->set) CHECK(pthread_cond_wait(&brief->condition, &brief->lock) == 0);
    CHECK(pthread_mutex_unlock(&brief->lock) == 0);
    CHECK(pthread_cond_destroy(&brief->condition) == 0 && pthread_mutex_destroy(&brief->lock) == 0);
    memset(brief, 0xff, sizeof *brief);
    free(brief);
    return 0;
}

int brief_set(struct brief *brief) {
    CHECK(pthread_mutex_lock(&brief->lock) == 0);
    brief->set = 1;
    CHECK(pthread_cond_signal(&brief->condition) == 0);
    CHECK(pthread_mutex_unlock(&brief->lock) == 0);
    return 0;
}
