/* SPDX-License-Identifier: Apache-2.0 */
/* Questions and answers in two lists under one lock; threads are started as they are needed and then stay. */
#include "resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/thread.h"
#include "outbound.h"

#define THREADS_MAX 4 /* so many names may hang before others wait */

struct job {
    struct job *next;
    struct resolve_answer answer;
    char host[RESOLVE_HOST_MAX + 1];
};

struct list {
    struct job *first, **end;
};

struct resolver {
    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t news;
    struct list asked, answered;
    uint32_t waiting;       /* so many are asked and not taken */
    uint32_t threads, idle; /* one that has been rung is idle until it has woken up */
    uint32_t users;         /* the owner and the threads: the last one frees */
    bool ending;
    void (*wake)(void *context);
    void *context;
};

/* ---- lists ----------------------------------------------------------------------------------------------- */

static void push(struct list *l, struct job *j)
{
    j->next = NULL;
    *l->end = j;
    l->end = &j->next;
}

static struct job *pop(struct list *l)
{
    struct job *j = l->first;
    if (!j)
        return NULL;
    l->first = j->next;
    if (!l->first)
        l->end = &l->first;
    return j;
}

static void drop_all(struct list *l)
{
    for (struct job *j; (j = pop(l));)
        free(j);
}

/* ---- a thread -------------------------------------------------------------------------------------------- */

static void keep(struct resolve_answer *a, const struct sockaddr *s, socklen_t len)
{
    struct sockaddr_storage copy = {0};
    struct address address;
    memcpy(&copy, s, TG_MIN((size_t)len, sizeof(copy)));
    if (!address_of_socket(&copy, &address))
        return;
    a->all_public = a->all_public && outbound_address_public(&address);
    if (a->count < RESOLVE_ADDRESSES_MAX)
        a->addresses[a->count++] = address;
}

static void look_up(struct job *j)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int rc = getaddrinfo(j->host, NULL, &hints, &found);
    j->answer.all_public = true;
    for (const struct addrinfo *i = rc == 0 ? found : NULL; i; i = i->ai_next)
        keep(&j->answer, i->ai_addr, i->ai_addrlen);
    if (rc == 0)
        freeaddrinfo(found);
    if (j->answer.count == 0)
        j->answer.why = rc != 0 ? gai_strerror(rc) : "the name has no address";
}

/* Called with the lock, which is gone afterwards. */
static void leave(struct resolver *r)
{
    bool last = --r->users == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    drop_all(&r->asked);
    drop_all(&r->answered);
    pthread_cond_destroy(&r->news);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static struct job *next_job(struct resolver *r)
{
    r->idle++;
    while (!r->ending && !r->asked.first)
        pthread_cond_wait(&r->news, &r->lock);
    r->idle--;
    if (r->ending)
        return NULL;
    r->waiting--;
    return pop(&r->asked);
}

static void *resolve_main(void *argument)
{
    struct resolver *r = argument;
    struct job *j;
    pthread_setname_np(pthread_self(), "resolver");
    pthread_mutex_lock(&r->lock);
    while ((j = next_job(r))) {
        pthread_mutex_unlock(&r->lock);
        look_up(j);
        pthread_mutex_lock(&r->lock);
        push(&r->answered, j);
        if (!r->ending)
            r->wake(r->context); /* under the lock: the owner cannot be gone */
    }
    leave(r);
    return NULL;
}

/* ---- the owner ------------------------------------------------------------------------------------------- */

struct resolver *resolver_create(void (*wake)(void *context), void *context)
{
    struct resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->news, NULL);
    r->asked.end = &r->asked.first;
    r->answered.end = &r->answered.first;
    r->users = 1;
    r->wake = wake;
    r->context = context;
    return r;
}

void resolver_destroy(struct resolver *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_cond_broadcast(&r->news);
    leave(r);
}

/* Called with the lock. */
static int start_thread(struct resolver *r)
{
    int rc = thread_start_detached(resolve_main, r);
    if (rc < 0)
        return rc;
    r->threads++;
    r->users++;
    return 0;
}

int resolver_submit(struct resolver *r, uint64_t id, struct tg_str host)
{
    if (host.len == 0 || host.len > RESOLVE_HOST_MAX)
        return -EINVAL;
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return -ENOMEM;
    memcpy(j->host, host.ptr, host.len);
    j->answer.id = id;
    pthread_mutex_lock(&r->lock);
    push(&r->asked, j);
    r->waiting++;
    int rc = r->idle < r->waiting && r->threads < THREADS_MAX ? start_thread(r) : 0;
    bool served = r->threads > 0; /* if only one could be started, it does the work of all */
    if (!served) {
        free(pop(&r->asked)); /* ours, since nobody ever took one */
        r->waiting--;
    }
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
    return served ? 0 : rc;
}

bool resolver_take(struct resolver *r, struct resolve_answer *out)
{
    pthread_mutex_lock(&r->lock);
    struct job *j = pop(&r->answered);
    pthread_mutex_unlock(&r->lock);
    if (!j)
        return false;
    *out = j->answer;
    free(j);
    return true;
}
