/* A heap with a bit of everything, for whatever glibc runs it: what mallinfo() says of it is the truth.
 *
 * Built once and run on several releases (scripts/glibcs), so it asks for the oldest versions of
 * symbols and brings a start of its own. Threads have arenas of their own. It answers `READY {json}`
 * and then waits for the end of stdin, changing nothing.
 *
 *   cc -O1 -nostartfiles -no-pie -o field glibc_field.c -l:libc.so.6
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__asm__(".symver __libc_start_main,__libc_start_main@GLIBC_2.2.5");
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");

#define THREADS 3
#define SLOTS 4000

static unsigned state = 12345;

static unsigned draw(void) {
    state = state * 1103515245u + 12345u;
    return state >> 8;
}

/* Sizes of every kind of bin: caches, fastbins, small, large, and mapped ones. */
static size_t size(void) {
    switch (draw() % 16) {
    case 0: return 4096 + draw() % 60000;
    case 1: return 1024 + draw() % 3000;
    default: return 1 + draw() % 1000;
    }
}

static void *slots[THREADS + 1][SLOTS];

static void churn(void **slots) {
    for (int round = 0; round < 5; round++) {
        for (int at = 0; at < SLOTS; at++) {
            if (draw() % 3 == 0) {
                free(slots[at]);
                slots[at] = NULL;
            } else if (!slots[at]) {
                size_t bytes = size();
                if (draw() % 50 == 0)
                    posix_memalign(&slots[at], 64 << draw() % 4, bytes);
                else
                    slots[at] = malloc(bytes);
                if (slots[at])
                    memset(slots[at], 'm', bytes);
            } else if (draw() % 20 == 0) {
                slots[at] = realloc(slots[at], size());
            }
        }
    }
}

static int ready[2], go[2];

static void *work(void *own) {
    char byte;
    churn(own);
    write(ready[1], "x", 1);
    read(go[0], &byte, 1); /* for ever */
    return NULL;
}

int main(int argc, char **argv) {
    char byte, text[512];
    pthread_t thread;
    (void)argc, (void)argv;
    pipe(ready), pipe(go);
    churn(slots[THREADS]);
    /* One after the other: the random numbers are shared. */
    for (int n = 0; n < THREADS; n++) {
        pthread_create(&thread, NULL, work, slots[n]);
        read(ready[0], &byte, 1);
    }
    static void *mapped[8];
    for (int n = 0; n < 8; n++) {
        mapped[n] = malloc((200 + 100 * n) << 10);
        memset(mapped[n], 'M', (200 + 100 * n) << 10);
    }
    posix_memalign(&mapped[0], 1 << 16, 300 << 10);
    free(mapped[3]);
    struct mallinfo info = mallinfo();
    int len = snprintf(
        text, sizeof text,
        "READY {\"pid\": %d, \"mallinfo\": {\"arena\": %d, \"ordblks\": %d, \"smblks\": %d, "
        "\"hblks\": %d, \"hblkhd\": %d, \"fsmblks\": %d, \"uordblks\": %d, \"fordblks\": %d, "
        "\"keepcost\": %d}}\n",
        getpid(), info.arena, info.ordblks, info.smblks, info.hblks, info.hblkhd, info.fsmblks,
        info.uordblks, info.fordblks, info.keepcost);
    write(1, text, len);
    while (read(0, &byte, 1) > 0)
        ;
    _exit(0);
}

int __libc_start_main(int (*)(int, char **), int, char **, void (*)(void), void (*)(void),
                      void (*)(void), void *);

static void nothing(void) {}

__attribute__((used)) static void start(long *stack) {
    __libc_start_main(main, (int)stack[0], (char **)(stack + 1), nothing, nothing, NULL, stack);
}

__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n hlt\n");
