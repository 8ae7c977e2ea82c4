// What the C code of the tests shares.
#pragma once
#include <time.h>

// Each function of the tests gives 0, or the line that failed.
#define CHECK(so) do { if (!(so)) return __LINE__; } while (0)

// So many milliseconds from now.
static inline struct timespec in_ms(clockid_t clock, long ms) {
    struct timespec at;
    clock_gettime(clock, &at);
    at.tv_nsec += ms * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}
