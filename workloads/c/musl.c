/* A heap with a bit of everything, for musl: what it holds, freed and lost is written down.
 *
 *   musl-gcc -O1 -pthread [-static] -o musl musl.c
 *   MUSL_TRUTH=FILE musl mixed|lossy|retained
 *
 * `mixed` has blocks of 0 B to 4 MiB, aligned, resized and zeroed ones, of three threads, and a hundred
 * of each of some kinds that nothing leads to any more; `lossy` is the same with small blocks besides.
 * `retained` frees all but every eighth of many blocks. A line of the truth is `H address size` of a block in use, with what malloc_usable_size says,
 * `L address size` of one that is lost, `F address` of one that was freed. It answers `READY {json}` and
 * then waits for the end of stdin, changing nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 2
#define SLOTS 1500
#define LOST 100
#define MANY 200000

/* What is only remembered is not to be found as an address. */
#define HIDDEN(address) (~(unsigned long)(address))

static void *slots[THREADS + 1][SLOTS], *most_aligned, *many[MANY / 8];
static unsigned long freed[THREADS + 1][SLOTS * 8], lost[LOST * 4];
static unsigned long others[MANY];
static int frees[THREADS + 1], losses, small, truth;

static unsigned draw(unsigned *state) {
    *state = *state * 1103515245u + 12345u;
    return *state >> 8;
}

static size_t size(unsigned *state) {
    switch (small ? 8 : draw(state) % 32) {
    case 0: return draw(state) % (4 << 20);
    case 1: case 2: return draw(state) % (200 << 10);
    case 3: case 4: case 5: case 6: return draw(state) % 20000;
    case 7: return draw(state) % 3;
    default: return 1 + draw(state) % 1000;
    }
}

static void release(int own, void *block) {
    if (!block)
        return;
    if (frees[own] < SLOTS * 8)
        freed[own][frees[own]++] = HIDDEN(block);
    free(block);
}

static void *take(unsigned *state) {
    void *block = NULL;
    size_t bytes = size(state);
    switch (draw(state) % 40) {
    case 0: posix_memalign(&block, 64u << draw(state) % 15, bytes); break;
    case 1: block = aligned_alloc(32, bytes); break;
    case 2: block = calloc(1, bytes); break;
    default: block = malloc(bytes);
    }
    if (!block)
        _exit(1);
    memset(block, 'm', bytes);
    return block;
}

static void churn(int own) {
    unsigned state = 12345 + own;
    for (int round = 0; round < 6; round++) {
        for (int at = 0; at < SLOTS; at++) {
            void **slot = &slots[own][at];
            if (draw(&state) % 3 == 0) {
                release(own, *slot);
                *slot = NULL;
            } else if (!*slot) {
                *slot = take(&state);
            } else if (draw(&state) % 12 == 0) {
                void *before = *slot;
                *slot = realloc(before, 1 + size(&state));
                if (!*slot)
                    _exit(1);
                if (*slot != before && frees[own] < SLOTS * 8)
                    freed[own][frees[own]++] = HIDDEN(before);
            }
        }
    }
}

/* Blocks of four kinds; those of the last two lead to each other. */
__attribute__((noinline)) static void lose(void) {
    for (int n = 0; n < LOST; n++) {
        char *text = malloc(1800);
        memset(text, ' ', 1800);
        snprintf(text, 40, "GET /items/%d", n);
        void **zeroes = calloc(1, 96), **one = malloc(3000), **other = malloc(200 << 10);
        memset(one, 7, 3000);
        memset(other, 9, 200 << 10);
        *one = other;
        *other = one;
        void *all[] = {text, zeroes, one, other};
        for (int kind = 0; kind < 4; kind++)
            lost[losses++] = HIDDEN(all[kind]);
    }
}

static int ready[2], go[2];

__attribute__((noinline)) static void scrub(void) {
    volatile char stack[32 << 10];
    for (unsigned at = 0; at < sizeof stack; at++)
        stack[at] = 0;
}

static void *work(void *own) {
    char byte;
    churn((int)(long)own);
    scrub();
    write(ready[1], "x", 1);
    read(go[0], &byte, 1); /* for ever */
    return NULL;
}

/* Writing takes no memory, and is over before anything is looked at. */
static void note(char kind, unsigned long address, int sized) {
    char line[64];
    int len = sized ? snprintf(line, sizeof line, "%c %lx %zu\n", kind, address,
                               malloc_usable_size((void *)address))
                    : snprintf(line, sizeof line, "%c %lx\n", kind, address);
    if (write(truth, line, len) != len)
        _exit(1);
}

__attribute__((noinline)) static void tell(void) {
    truth = open(getenv("MUSL_TRUTH"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int own = 0; own <= THREADS; own++) {
        for (int at = 0; at < SLOTS; at++)
            if (slots[own][at])
                note('H', (unsigned long)slots[own][at], 1);
        for (int at = 0; at < frees[own]; at++)
            note('F', HIDDEN(freed[own][at]), 0);
    }
    for (int at = 0; at < MANY / 8; at++)
        if (many[at])
            note('H', (unsigned long)many[at], 1);
    for (int at = 0; at < MANY; at++)
        if (others[at])
            note('F', HIDDEN(others[at]), 0);
    if (most_aligned)
        note('H', (unsigned long)most_aligned, 1);
    for (int at = 0; at < losses; at++)
        note('L', HIDDEN(lost[at]), 1);
    close(truth);
}

__attribute__((noinline)) static void mixed(void) {
    pthread_t thread;
    pipe(ready), pipe(go);
    churn(THREADS);
    for (long n = 0; n < THREADS; n++)
        pthread_create(&thread, NULL, work, (void *)n);
    for (int n = 0; n < THREADS; n++) {
        char byte;
        read(ready[0], &byte, 1);
    }
    lose();
    /* More than 16 bits of units count. */
    posix_memalign(&most_aligned, 8 << 20, 100000);
}

__attribute__((noinline)) static void retained(void) {
    for (int at = 0; at < MANY; at++) {
        char *block = malloc(700);
        memset(block, 'r', 700);
        if (at % 8 == 0)
            many[at / 8] = block;
        else
            others[at] = HIDDEN(block);
    }
    for (int at = 0; at < MANY; at++)
        if (others[at])
            free((void *)HIDDEN(others[at]));
}

int main(int argc, char **argv) {
    char text[64];
    small = argc == 2 && !strcmp(argv[1], "lossy");
    if (argc == 2 && !strcmp(argv[1], "retained"))
        retained();
    else
        mixed();
    tell();
    scrub();
    int len = snprintf(text, sizeof text, "READY {\"pid\": %d}\n", getpid());
    write(1, text, len);
    while (read(0, text, 1) > 0)
        ;
    _exit(0);
}
