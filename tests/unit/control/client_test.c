/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client against a server that misbehaves on request. A plain program, because Criterion cannot run under
 * ThreadSanitizer. Names are resolved by this file (the linker puts it before the system's getaddrinfo), and so is the
 * question which addresses are public, so that "public" hosts can be had on loopback.
 */
#include "gateway/control/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client_server.h"
#include "gateway/base/address.h"
#include "gateway/base/clock.h"

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond);                                              \
            test_failed = true;                                                                              \
        }                                                                                                    \
    } while (0)

static bool test_failed;
static struct server *plain, *tls;
static struct client *client;

/* ---- the world ---------------------------------------------------------------------------------------------- */

static const char *const names[][4] = {
    {"node.test", "127.0.0.1"},
    {"two.test", "127.0.0.2", "127.0.0.1"}, /* nobody listens on the first */
    {"public.test", "8.8.8.8", "2606:4700:4700::1111"},
    {"mixed.test", "8.8.8.8", "127.0.0.1"},
    {"mapped.test", "::ffff:127.0.0.1"},
    {"slow.test", "127.0.0.1"},
};

static sem_t slow_may_end;
static pthread_t main_thread;
static _Atomic bool all_public;     /* loopback counts as public: flags, order nothing */
static _Atomic bool resolver_fooled; /* for the resolver alone: a name that changes its mind */

bool __wrap_outbound_address_public(const struct address *a);
bool __real_outbound_address_public(const struct address *a);
bool __wrap_outbound_address_public(const struct address *a)
{
    if (atomic_load_explicit(&all_public, memory_order_relaxed))
        return true;
    if (atomic_load_explicit(&resolver_fooled, memory_order_relaxed) && !pthread_equal(pthread_self(), main_thread))
        return true;
    return __real_outbound_address_public(a);
}

static struct addrinfo *entry(const char *text)
{
    struct {
        struct addrinfo info;
        struct sockaddr_storage address;
    } *e = calloc(1, sizeof(*e));
    struct sockaddr_in *v4 = (struct sockaddr_in *)&e->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&e->address;
    bool ipv6 = strchr(text, ':') != NULL;
    e->address.ss_family = ipv6 ? AF_INET6 : AF_INET;
    inet_pton(ipv6 ? AF_INET6 : AF_INET, text, ipv6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr);
    e->info.ai_family = e->address.ss_family;
    e->info.ai_addr = (struct sockaddr *)&e->address;
    e->info.ai_addrlen = ipv6 ? sizeof(*v6) : sizeof(*v4);
    return &e->info;
}

static _Atomic uint32_t slow_asked, slow_told; /* resolutions of the slow name that have begun, and gone on */

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    (void)service, (void)hints;
    *out = NULL;
    if (strcmp(host, "slow.test") == 0) {
        atomic_fetch_add_explicit(&slow_asked, 1, memory_order_relaxed); /* bare counts */
        sem_wait(&slow_may_end);
        atomic_fetch_add_explicit(&slow_told, 1, memory_order_relaxed);
    }
    for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++)
        for (size_t k = 3; k > 0 && strcmp(host, names[i][0]) == 0; k--)
            if (names[i][k]) {
                struct addrinfo *e = entry(names[i][k]);
                e->ai_next = *out;
                *out = e;
            }
    return *out ? 0 : EAI_NONAME;
}

void __wrap_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

struct result {
    uint32_t calls;
    int error;
    uint32_t status, retry_after_s;
    char type[64], why[192], body[8192];
    size_t body_bytes;
};

static void done(void *context, const struct client_response *r)
{
    struct result *x = context;
    x->calls++;
    x->error = r->error;
    x->status = r->status;
    x->retry_after_s = r->retry_after_s;
    snprintf(x->type, sizeof(x->type), TG_STR_FMT, TG_STR_ARG(r->content_type));
    snprintf(x->why, sizeof(x->why), "%s", r->why ? r->why : "");
    x->body_bytes = r->body.len;
    snprintf(x->body, sizeof(x->body), TG_STR_FMT, TG_STR_ARG(r->body));
    CHECK((r->error == 0) == (r->why == NULL));
}

static char url_text[256];

static const char *url(const char *scheme, const char *host, const struct server *s, const char *path)
{
    snprintf(url_text, sizeof(url_text), "%s://%s:%u%s", scheme, host, server_port(s), path);
    return url_text;
}

static const char *here(const char *path)
{
    return url("http", "127.0.0.1", plain, path);
}

static struct client_request get(const char *to)
{
    return (struct client_request){.method = "GET", .url = to, .timeout_ms = 20000, .body_bytes_max = 4096};
}

static struct result ask(struct client_request rq)
{
    struct result x = {0};
    client_call(client, &rq, done, &x);
    CHECK(x.calls == 1);
    return x;
}

static struct result ask_public(const char *to)
{
    struct client_request rq = get(to);
    rq.reach = CLIENT_PUBLIC;
    return ask(rq);
}

static void settle(void)
{
    while (client_active(client) > 0)
        client_turn(client, 1000, NULL, 0);
}

/* ---- ordinary answers ----------------------------------------------------------------------------------------- */

static void answers_come_with_status_type_and_body(void)
{
    struct result x = ask(get(here("/ok")));
    CHECK(x.error == 0 && x.status == 200 && strcmp(x.type, "application/json") == 0);
    CHECK(strcmp(x.body, "{\"ok\":true}") == 0);
    x = ask(get(here("/busy")));
    CHECK(x.error == 0 && x.status == 429 && x.retry_after_s == 17);
    x = ask(get(here("/html")));
    CHECK(x.error == 0 && strcmp(x.type, "text/html") == 0);
    x = ask(get(here("/nowhere")));
    CHECK(x.error == 0 && x.status == 404);
}

static void requests_go_out_as_given(void)
{
    static const char *const headers[] = {"Authorization: Bearer secret", "Content-Type: application/json", NULL};
    struct client_request rq = get(here("/echo"));
    rq.method = "DELETE";
    rq.headers = headers;
    rq.body = TG_STR("{\"node_id\":\"n\"}");
    struct result x = ask(rq);
    CHECK(strncmp(x.body, "DELETE /echo HTTP/1.1\r\n", 23) == 0);
    CHECK(strstr(x.body, "Authorization: Bearer secret\r\n") && strstr(x.body, "Content-Type: application/json\r\n"));
    CHECK(strstr(x.body, "User-Agent: client-test\r\n") && strstr(x.body, "Content-Length: 15\r\n"));
    CHECK(strstr(x.body, "\r\n\r\n{\"node_id\":\"n\"}") && !strstr(x.body, "Expect"));
    rq.method = "POST";
    rq.headers = NULL;
    rq.body = (struct tg_str){NULL, 0};
    x = ask(rq);
    CHECK(strstr(x.body, "Content-Length: 0\r\n") && !strstr(x.body, "Content-Type"));
    rq.method = "HEAD";
    x = ask(rq);
    CHECK(x.error == 0 && x.status == 200 && x.body_bytes == 0);
}

static void connections_are_used_again(void)
{
    uint32_t before = server_connections(plain);
    for (int i = 0; i < 5; i++)
        CHECK(ask(get(here("/ok"))).status == 200);
    CHECK(server_connections(plain) <= before + 1);
}

static void names_are_resolved_by_the_client_and_stay_in_host(void)
{
    struct result x = ask(get(url("http", "node.test", plain, "/echo")));
    char host[64];
    snprintf(host, sizeof(host), "Host: node.test:%u\r\n", server_port(plain));
    CHECK(x.error == 0 && strstr(x.body, host));
    CHECK(ask(get(url("http", "two.test", plain, "/ok"))).status == 200);
    x = ask(get(url("http", "unknown.test", plain, "/ok")));
    CHECK(x.error == -EHOSTUNREACH);
}

static void many_go_at_once(void)
{
    enum { MANY = 100 };
    static struct result x[MANY];
    memset(x, 0, sizeof(x));
    for (int i = 0; i < MANY; i++) {
        struct client_request rq = get(url("http", i % 2 ? "node.test" : "127.0.0.1", plain, "/ok"));
        CHECK(client_submit(client, &rq, done, &x[i]) > 0);
    }
    CHECK(client_active(client) == MANY);
    settle();
    for (int i = 0; i < MANY; i++)
        CHECK(x[i].calls == 1 && x[i].error == 0 && x[i].status == 200);
}

/* ---- servers that misbehave ------------------------------------------------------------------------------------ */

static void a_body_over_the_limit_is_cut_off(void)
{
    struct client_request rq = get(here("/big"));
    struct result x = ask(rq);
    CHECK(x.error == -EMSGSIZE && x.body_bytes == 0);
    rq.url = here("/ok");
    rq.body_bytes_max = 11;
    CHECK(ask(rq).error == 0);
    rq.body_bytes_max = 10;
    CHECK(ask(rq).error == -EMSGSIZE);
    CHECK(ask(get(here("/head"))).error == -EMSGSIZE);
}

static void slow_drips_end_with_the_time(void)
{
    static const char *const paths[] = {"/drip", "/hang"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(paths); i++) {
        struct client_request rq = get(here(paths[i]));
        rq.timeout_ms = 150;
        rq.body_bytes_max = 1 << 20;
        uint64_t begin = clock_now_ns();
        CHECK(ask(rq).error == -ETIMEDOUT);
        CHECK(clock_now_ns() - begin >= 140 * NS_PER_MS);
    }
}

static void what_is_no_http_or_stops_in_the_middle_is_an_error(void)
{
    CHECK(ask(get(here("/noise"))).error == -EPROTO);
    CHECK(ask(get(here("/cut"))).error == -ECONNRESET);
}

static void a_refused_port_is_said(void)
{
    struct result x = ask(get("http://127.0.0.1:1/"));
    CHECK(x.error == -ECONNREFUSED && x.why[0]);
}

static void certificates_that_nobody_signed_are_refused(void)
{
    uint32_t before = server_requests(tls);
    struct result x = ask(get(url("https", "127.0.0.1", tls, "/ok")));
    CHECK(x.error == -EPROTO && strstr(x.why, "certificate"));
    x = ask(get(url("https", "node.test", tls, "/ok")));
    CHECK(x.error == -EPROTO);
    CHECK(server_requests(tls) == before);
    CHECK(ask(get(url("https", "127.0.0.1", plain, "/ok"))).error == -EPROTO);
}

/* ---- redirects -------------------------------------------------------------------------------------------------- */

static void redirects_are_followed_within_the_origin_only_if_asked_for(void)
{
    static const char *const headers[] = {"Authorization: Bearer secret", NULL};
    struct client_request rq = get(here("/same"));
    rq.method = "POST";
    rq.headers = headers;
    rq.body = TG_STR("body");
    CHECK(ask(rq).error == -EPROTO);
    rq.redirects_max = 3;
    struct result x = ask(rq);
    CHECK(x.error == 0 && strncmp(x.body, "POST /echo ", 11) == 0 && strstr(x.body, "\r\n\r\nbody"));
    CHECK(strstr(x.body, "Authorization: Bearer secret"));
    rq.url = here("/found");
    CHECK(ask(rq).error == -EPROTO);
}

static void redirects_end(void)
{
    struct client_request rq = get(here("/loop"));
    uint32_t before = server_requests(plain);
    rq.redirects_max = 3;
    CHECK(ask(rq).error == -EPROTO);
    CHECK(server_requests(plain) == before + 4);
}

static void redirects_lead_nowhere_else(void)
{
    static const char *const targets[] = {"http://127.0.0.1:1/", "https://127.0.0.1/", "http://169.254.169.254/latest",
                                          "file:///etc/passwd", "//node.test/ok", "http://u@127.0.0.1/", "gopher://x/"};
    struct server *other = server_start(false);
    struct client_request rq = get(here("/elsewhere"));
    rq.redirects_max = 3;
    for (size_t i = 0; i < TG_ARRAY_SIZE(targets); i++) {
        server_redirect_to(plain, targets[i]);
        struct result x = ask(rq);
        CHECK(x.error == -EPROTO && x.status == 307 && x.body_bytes == 0);
    }
    server_redirect_to(plain, url("http", "127.0.0.1", other, "/ok"));
    rq.url = here("/elsewhere");
    CHECK(ask(rq).error == -EPROTO);
    CHECK(server_connections(other) == 0);
    server_stop(other);
}

/* ---- addresses of others ------------------------------------------------------------------------------------------ */

static void private_addresses_are_not_called_for_others(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]", "node.test", "mixed.test", "mapped.test"};
    uint32_t before = server_connections(plain);
    for (size_t i = 0; i < TG_ARRAY_SIZE(hosts); i++) {
        struct result x = ask_public(url("http", hosts[i], plain, "/ok"));
        CHECK(x.error == -EPERM && strstr(x.why, "not public"));
    }
    CHECK(server_connections(plain) == before);
}

static void public_ones_are(void)
{
    atomic_store_explicit(&all_public, true, memory_order_relaxed);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* not for these */
    CHECK(ask_public(url("http", "node.test", plain, "/ok")).status == 200);
    unsetenv("http_proxy");
    atomic_store_explicit(&all_public, false, memory_order_relaxed);
}

static void a_kept_connection_is_looked_at_again(void)
{
    uint32_t before = server_requests(plain);
    CHECK(ask(get(url("http", "node.test", plain, "/ok"))).status == 200);
    atomic_store_explicit(&resolver_fooled, true, memory_order_relaxed);
    CHECK(ask_public(url("http", "node.test", plain, "/ok")).error == -EPERM);
    atomic_store_explicit(&resolver_fooled, false, memory_order_relaxed);
    CHECK(server_requests(plain) == before + 1);
}

static void the_socket_has_the_last_word(void)
{
    struct server *other = server_start(false);
    atomic_store_explicit(&resolver_fooled, true, memory_order_relaxed);
    CHECK(ask_public(url("http", "node.test", other, "/ok")).error == -EPERM);
    atomic_store_explicit(&resolver_fooled, false, memory_order_relaxed);
    CHECK(server_connections(other) == 0);
    server_stop(other);
}

/* ---- requests that cannot be --------------------------------------------------------------------------------------- */

static void what_is_no_url_or_header_goes_nowhere(void)
{
    static const char *const wrong[] = {"", "nonsense", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://127.1/",
                                        "http://127.0.0.1/#x", "file:///etc/passwd"};
    static const char *const headers[] = {"X-Name: value\r\nX-Injected: yes", NULL};
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
        CHECK(ask(get(wrong[i])).error == -EINVAL);
    struct client_request rq = get(here("/ok"));
    rq.headers = headers;
    CHECK(ask(rq).error == -EINVAL);
}

/* ---- giving up ------------------------------------------------------------------------------------------------------ */

/* The one that has begun, and it alone: what is posted for a thread that is late must not be left to the next one. */
static void let_slow_end(void)
{
    sem_post(&slow_may_end);
    while (atomic_load_explicit(&slow_told, memory_order_relaxed) !=
           atomic_load_explicit(&slow_asked, memory_order_relaxed))
        usleep(1000);
}

static void a_cancelled_request_is_not_heard_of_again(void)
{
    struct result x = {0};
    struct client_request rq = get(here("/hang"));
    uint64_t id = client_submit(client, &rq, done, &x);
    client_turn(client, 10, NULL, 0);
    client_cancel(client, id);
    client_cancel(client, id);
    client_cancel(client, 0);
    rq.url = url("http", "slow.test", plain, "/ok");
    id = client_submit(client, &rq, done, &x);
    while (atomic_load_explicit(&slow_asked, memory_order_relaxed) == 0) /* else nobody would take what is posted below */
        client_turn(client, 10, NULL, 0);
    client_cancel(client, id);
    let_slow_end();
    CHECK(client_active(client) == 0);
    CHECK(ask(get(here("/ok"))).status == 200);
    CHECK(x.calls == 0);
}

static void names_that_take_too_long_end_with_the_time(void)
{
    struct client_request rq = get(url("http", "slow.test", plain, "/ok"));
    uint32_t asked = atomic_load_explicit(&slow_asked, memory_order_relaxed);
    rq.timeout_ms = 100;
    struct result x = ask(rq);
    CHECK(x.error == -ETIMEDOUT);
    CHECK(ask(get(url("http", "node.test", plain, "/ok"))).status == 200); /* others do not wait behind it */
    while (atomic_load_explicit(&slow_asked, memory_order_relaxed) == asked)
        usleep(1000);
    let_slow_end();
}

/* Also where the thread that was idle has been rung for the slow one and has not woken up yet. */
static void a_name_that_is_asked_for_right_behind_a_slow_one_does_not_wait_for_it(void)
{
    struct result first = {0}, slow = {0}, quick = {0};
    struct client *own = client_create("other");
    struct client_request rq = get(url("http", "node.test", plain, "/ok"));
    client_call(own, &rq, done, &first); /* leaves one thread, and that idle */
    rq = get(url("http", "slow.test", plain, "/ok"));
    rq.timeout_ms = 600000;
    CHECK(client_submit(own, &rq, done, &slow) > 0);
    rq = get(url("http", "node.test", plain, "/ok"));
    CHECK(client_submit(own, &rq, done, &quick) > 0);
    while (quick.calls == 0)
        client_turn(own, 1000, NULL, 0);
    CHECK(first.status == 200 && quick.status == 200 && slow.calls == 0);
    client_destroy(own);
    let_slow_end();
}

static void cancel_the_other(void *context, const struct client_response *r)
{
    (void)r;
    client_cancel(client, *(uint64_t *)context);
}

static void callbacks_may_cancel_and_submit(void)
{
    struct result x = {0};
    struct client_request wrong = get("nonsense");
    uint64_t second = 0;
    CHECK(client_submit(client, &wrong, cancel_the_other, &second) > 0);
    second = client_submit(client, &wrong, done, &x); /* ended too, by the time the first is delivered */
    settle();
    CHECK(x.calls == 0);
}

static void destroying_the_client_ends_what_is_under_way(void)
{
    static const char *const hosts[] = {"slow.test", "127.0.0.1", "node.test"};
    struct client *own = client_create("other");
    struct result x[6] = {{0}};
    for (int i = 0; i < 6; i++) {
        struct client_request rq = get(url("http", hosts[i % 3], plain, "/hang"));
        CHECK(client_submit(own, &rq, done, &x[i]) > 0);
        if (i == 2)
            client_turn(own, 50, NULL, 0);
    }
    client_destroy(own); /* while a name is being looked up */
    for (int i = 0; i < 6; i++)
        CHECK(x[i].calls == 1 && x[i].error == -ECANCELED);
    sem_post(&slow_may_end);
    sem_post(&slow_may_end);
}

/* ---- sleeping --------------------------------------------------------------------------------------------------------- */

static void *ring_later(void *fd)
{
    uint64_t one = 1;
    usleep(20000);
    CHECK(write(*(int *)fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
    return NULL;
}

static void a_descriptor_ends_the_sleep(void)
{
    struct client_fd fds[2] = {{.fd = eventfd(0, EFD_CLOEXEC)}, {.fd = eventfd(0, EFD_CLOEXEC)}};
    pthread_t thread;
    pthread_create(&thread, NULL, ring_later, &fds[1].fd);
    while (!fds[1].ready)
        client_turn(client, 60000, fds, 2);
    CHECK(!fds[0].ready);
    pthread_join(thread, NULL);
    close(fds[0].fd);
    close(fds[1].fd);
}

/* ---- all --------------------------------------------------------------------------------------------------------------- */

#define TESTS(X)                                                                                             \
    X(answers_come_with_status_type_and_body)                                                                \
    X(requests_go_out_as_given)                                                                              \
    X(connections_are_used_again)                                                                            \
    X(names_are_resolved_by_the_client_and_stay_in_host)                                                     \
    X(many_go_at_once)                                                                                       \
    X(a_body_over_the_limit_is_cut_off)                                                                      \
    X(slow_drips_end_with_the_time)                                                                          \
    X(what_is_no_http_or_stops_in_the_middle_is_an_error)                                                    \
    X(a_refused_port_is_said)                                                                                \
    X(certificates_that_nobody_signed_are_refused)                                                           \
    X(redirects_are_followed_within_the_origin_only_if_asked_for)                                            \
    X(redirects_end)                                                                                         \
    X(redirects_lead_nowhere_else)                                                                           \
    X(private_addresses_are_not_called_for_others)                                                           \
    X(public_ones_are)                                                                                       \
    X(a_kept_connection_is_looked_at_again)                                                                  \
    X(the_socket_has_the_last_word)                                                                          \
    X(what_is_no_url_or_header_goes_nowhere)                                                                 \
    X(a_cancelled_request_is_not_heard_of_again)                                                             \
    X(names_that_take_too_long_end_with_the_time)                                                            \
    X(a_name_that_is_asked_for_right_behind_a_slow_one_does_not_wait_for_it)                                 \
    X(callbacks_may_cancel_and_submit)                                                                       \
    X(destroying_the_client_ends_what_is_under_way)                                                          \
    X(a_descriptor_ends_the_sleep)

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
#define ROW(name) {#name, name},
    TESTS(ROW)
#undef ROW
};

int main(int argc, char **argv)
{
    bool any_failed = false;
    main_thread = pthread_self();
    sem_init(&slow_may_end, 0, 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    client = client_create("client-test");
    plain = server_start(false);
    tls = server_start(true);
    printf("1..%zu\n", TG_ARRAY_SIZE(tests));
    for (size_t i = 0; i < TG_ARRAY_SIZE(tests); i++) {
        test_failed = false;
        if (argc < 2 || strstr(tests[i].name, argv[1]))
            tests[i].run();
        printf("%s %zu - %s\n", test_failed ? "not ok" : "ok", i + 1, tests[i].name);
        any_failed = any_failed || test_failed;
    }
    client_destroy(client);
    server_stop(plain);
    server_stop(tls);
    return any_failed;
}
