/* A C library that keeps some of its memory and loses the rest: for workloads/native_leak.py.
 *
 * Which is which is written down as it happens, "L 0x…" for lost and "H 0x…" for held, so that the
 * addresses themselves are nowhere in memory but where the library has put them. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct node { struct node *next; char body[40]; };
struct widget;
struct operations { void (*draw)(struct widget *); void (*close)(struct widget *); };
struct widget { const struct operations *operations; long number; char body[288]; };
struct session { long number; char *parts[3]; struct session *parent; };

static void widget_draw(struct widget *widget) { widget->number += 1; }
static void widget_close(struct widget *widget) { widget->number = 0; }
const struct operations widget_operations = {widget_draw, widget_close};

static FILE *truth;

/* What is written down is not an address: nobody may find it in the buffers of stdio. */
static void *made(char kind, void *memory)
{
    fprintf(truth, "%c %lx\n", kind, (unsigned long)memory);
    return memory;
}

static void *filled(size_t size, int byte)
{
    void *memory = malloc(size);
    memset(memory, byte, size);
    return memory;
}

static struct node *chain(char kind, int length)
{
    struct node *head = NULL;
    for (int n = 0; n < length; n++) {
        struct node *node = made(kind, filled(sizeof *node, 7));
        node->next = head;
        head = node;
    }
    return head;
}

static struct session *session(char kind, long number)
{
    struct session *session = made(kind, calloc(1, sizeof *session));
    session->number = number;
    for (int n = 0; n < 3; n++)
        session->parts[n] = made(kind, filled(200 + 100 * n, 'a' + n));
    return session;
}

static struct widget *widget(char kind)
{
    struct widget *widget = made(kind, filled(sizeof *widget, 1));
    widget->operations = &widget_operations;
    return widget;
}

/* Loses it all. */
__attribute__((noinline)) static void lose(int scale)
{
    for (int n = 0; n < 4000 * scale; n++) {
        char *text = made('L', filled(1800, 'B'));
        snprintf(text, 40, "GET /items/%d", n);
        text[strlen(text)] = ' ';
    }
    for (int n = 0; n < 4000 * scale; n++)
        widget('L');
    for (int n = 0; n < 250 * scale; n++)
        chain('L', 8);
    for (int n = 0; n < 200 * scale; n++) {
        struct node *ring = chain('L', 4), *last = ring;
        while (last->next)
            last = last->next;
        last->next = ring;
    }
    for (int n = 0; n < 250 * scale; n++)
        session('L', n);
    for (int n = 0; n < 500 * scale; n++)
        made('L', calloc(1, 700));
    for (int n = 0; n < 3; n++)
        made('L', filled(300 << 10, 9));
}

/* Every way to hold memory that C has. (What is static and never read a compiler leaves out.) */
struct widget *table[1000];
struct node *list;
char *middles[500], *ends[500];
uintptr_t tagged[500];
struct session **mapped;
__thread struct node *own;
pthread_key_t key;
void *root;

static void *sleeper(void *ready)
{
    struct node *volatile kept[50];
    for (int n = 0; n < 50; n++)
        kept[n] = chain('H', 5);
    own = chain('H', 50);
    pthread_setspecific(key, made('H', filled(90, 3)));
    fflush(truth);
    pthread_mutex_unlock(ready);
    for (;;)
        pause();
    return kept[0];
}

struct tree { struct tree *left, *right; char body[16]; };

static struct tree *tree_of(int depth)
{
    struct tree *tree = made('H', filled(sizeof *tree, 5));
    tree->left = tree->right = NULL;
    if (depth > 0) {
        tree->left = tree_of(depth - 1);
        tree->right = tree_of(depth - 1);
    }
    return tree;
}

__attribute__((noinline)) static void hold(void)
{
    for (int n = 0; n < 1000; n++)
        table[n] = widget('H');
    list = chain('H', 3000);
    for (int n = 0; n < 500; n++)
        middles[n] = (char *)made('H', filled(1000, 'm')) + 500;
    for (int n = 0; n < 500; n++)
        ends[n] = (char *)made('H', filled(200, 'e')) + 200;
    for (int n = 0; n < 500; n++)
        tagged[n] = (uintptr_t)made('H', filled(64, 't')) | 1;
    mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int n = 0; n < 1000; n++)
        mapped[n] = session('H', n);
    own = chain('H', 100);
    root = tree_of(10);
    pthread_key_create(&key, NULL);
    static pthread_mutex_t ready = PTHREAD_MUTEX_INITIALIZER;
    for (int n = 0; n < 3; n++) {
        pthread_t thread;
        pthread_mutex_lock(&ready);
        pthread_create(&thread, NULL, sleeper, &ready);
        pthread_mutex_lock(&ready);
        pthread_mutex_unlock(&ready);
    }
}

/* Chunks that were freed are in use no more, whoever has their addresses. */
void *freed[2000];

static void free_some(void)
{
    for (int n = 0; n < 2000; n++)
        freed[n] = malloc(40 + n % 900);
    for (int n = 0; n < 2000; n += 2)
        free(freed[n]);
    for (int n = 1; n < 2000; n += 2)
        made('H', freed[n]);
}

void plant(const char *path, int scale)
{
    truth = fopen(path, "a");
    hold();
    lose(scale);
    free_some();
    fclose(truth);
}

/* A cache that grows, and is known to its library. Not a list: whoever has the address of one session
 * would lead to all that come after it. */
struct session *cached[1 << 17];
static int number_cached;

void cache(int number)
{
    for (int n = 0; n < number && number_cached < 1 << 17; n++) {
        struct session *next = calloc(1, sizeof *next);
        next->parts[0] = filled(2000, 'c');
        cached[number_cached++] = next;
    }
}

/* What an object of Python has, several hops away. */
struct document { struct node **nodes; long number; };

void *document(int nodes)
{
    struct document *document = malloc(sizeof *document);
    document->number = nodes;
    document->nodes = calloc(nodes, sizeof *document->nodes);
    for (int n = 0; n < nodes; n++) {
        struct node *node = filled(sizeof *node, 7);
        node->next = NULL;
        document->nodes[n] = node;
    }
    return document;
}
