/* SPDX-License-Identifier: Apache-2.0 */
/* Checks with several tasks at once: slots, and what a full node says. */
#include <time.h>
#include "conformance.h"

#define AT_ONCE 8
#define FULL_MAX 64 /* nodes with more slots are not filled */
#define SLOW_MS 400
#define SETTLE_LOOKS 40

static void wait_all(struct conformance *c, const struct answer *list, uint32_t n)
{
    for (uint32_t i = 0; i < n;)
        if (list[i].over)
            i++;
        else
            client_turn(c->client, 1000, NULL, 0);
}

static void send_at_once(struct conformance *c, struct answer *list, uint32_t n, struct envelope e)
{
    for (uint32_t i = 0; i < n; i++)
        conformance_task_start(c, e, &list[i]);
    wait_all(c, list, n);
}

static void finish_all(struct answer *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        answer_finish(&list[i]);
}

static double active_now(struct conformance *c)
{
    struct answer a;
    conformance_ask(c, "GET", "/iicp/health", NULL, (struct tg_str){NULL, 0}, &a);
    double active = conformance_number(&a, "active_jobs", -1);
    answer_finish(&a);
    return active;
}

/* Others may use the node too: as many as before, not none. */
static struct finding settles(struct conformance *c, double before)
{
    static const struct timespec nap = {0, 50000000};
    double active = -1;
    for (int i = 0; i < SETTLE_LOOKS; i++) {
        active = active_now(c);
        if (active >= 0 && active <= before)
            return pass();
        nanosleep(&nap, NULL);
    }
    return fail("active_jobs stays at %g; before it was %g", active, before);
}

struct finding conformance_load_concurrent(struct conformance *c)
{
    struct answer list[AT_ONCE];
    struct finding f = conformance_can_ask(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    double before = active_now(c);
    send_at_once(c, list, AT_ONCE, (struct envelope){.qos = "interactive"});
    for (uint32_t i = 0; i < AT_ONCE && f.verdict == VERDICT_PASS; i++)
        if (list[i].error || list[i].status != 200)
            f = list[i].status == 429 ? conformance_refusal(&list[i], 429, "IICP-E021")
                                      : conformance_answered(&list[i], 200);
    finish_all(list, AT_ONCE);
    return f.verdict == VERDICT_PASS ? settles(c, before) : f;
}

/* ---- a full node ------------------------------------------------------------------------------------- */

static struct finding has_retry_after(const struct answer *a)
{
    struct finding f = conformance_refusal(a, 429, "IICP-E021");
    return f.verdict == VERDICT_PASS && !a->retry_after_s ? fail("429 without Retry-After") : f;
}

/* One more than there are slots. PASS: refused as it should be; SKIP: none was refused. */
static struct finding overfill(struct conformance *c, uint32_t slots, const char *qos)
{
    struct answer list[FULL_MAX + 1];
    struct finding f = skip("none of %u %s tasks was refused", slots + 1, qos);
    send_at_once(c, list, slots + 1, (struct envelope){.qos = qos, .payload = c->slow_used});
    for (uint32_t i = 0; i <= slots; i++)
        if (list[i].error || (list[i].status != 200 && f.verdict == VERDICT_SKIP))
            f = has_retry_after(&list[i]);
    finish_all(list, slots + 1);
    return f;
}

static bool takes_long(struct conformance *c)
{
    struct answer a;
    conformance_task(c, (struct envelope){.qos = "realtime", .payload = c->slow_used}, NULL, &a);
    bool slow = a.status == 200 && a.elapsed_ns >= SLOW_MS * 1000000ull;
    answer_finish(&a);
    return slow;
}

/* Nodes may let the two quick classes wait for a slot; the others are refused at once by all. */
struct finding conformance_load_admission(struct conformance *c)
{
    double slots = conformance_number(&c->health, "effective_max_concurrent",
                                      conformance_number(&c->health, "max_concurrent", 0));
    struct finding f = conformance_can_ask(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    if (slots < 1 || slots > FULL_MAX)
        return skip("the node has %g slots; up to %d are filled (admission.max_concurrent)", slots, FULL_MAX);
    if (!c->slow_used.len || !takes_long(c))
        return skip("no payload is known that takes %d ms: --slow-payload", SLOW_MS);
    f = overfill(c, (uint32_t)slots, "realtime");
    if (f.verdict == VERDICT_SKIP)
        f = overfill(c, (uint32_t)slots, "batch");
    return f.verdict == VERDICT_SKIP
               ? fail("all of %g tasks at once were taken, with %g slots", slots + 1, slots)
               : f;
}
