/* Locks of a C library, as extensions have them: for workloads/locks.py. */
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t both[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t index_ = PTHREAD_RWLOCK_INITIALIZER;

/* Two threads that call it with 0 and 1 never come back. */
void take_both(int first)
{
    pthread_mutex_lock(&both[first]);
    usleep(200000);
    pthread_mutex_lock(&both[!first]);
}

/* Calls back into Python, which needs the GIL, with the mutex taken. */
void call_with_mutex(void (*callback)(void))
{
    pthread_mutex_lock(&one);
    usleep(400000);
    callback();
    pthread_mutex_unlock(&one);
}

/* Called with the GIL. */
void take_slowly(void)
{
    usleep(200000);
    pthread_mutex_lock(&one);
    pthread_mutex_unlock(&one);
}

static inline __attribute__((always_inline)) void stay(void)
{
    for (;;)
        pause();
}

void write_for_ever(void)
{
    pthread_rwlock_wrlock(&table);
    stay();
}

void read_once(void)
{
    pthread_rwlock_rdlock(&table);
}

void read_for_ever(void)
{
    pthread_rwlock_rdlock(&index_);
    pause();
}

void write_once(void)
{
    pthread_rwlock_wrlock(&index_);
}
