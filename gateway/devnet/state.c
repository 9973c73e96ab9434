/* SPDX-License-Identifier: Apache-2.0 */
/* The directory's start and end, its randomness and its clock. */
#include "state.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/hex.h"
#include "gateway/base/random.h"

static struct tg_str bytes_of(const void *p, size_t n)
{
    return (struct tg_str){p, n};
}

/* ---- what follows from the seed ------------------------------------------------------------------------ */

static int draw(const struct devnet *d, struct crypto *crypto, const char *purpose, uint64_t number,
                uint8_t out[CRYPTO_HASH_BYTES])
{
    char text[64];
    int len = snprintf(text, sizeof(text), "taskgate devnet %s %llu", purpose, (unsigned long long)number);
    return crypto_hmac(crypto, bytes_of(d->seed, sizeof(d->seed)), bytes_of(text, (size_t)len), out);
}

static int seed(struct devnet *d, struct crypto *crypto, const char *text)
{
    if (text[0])
        return crypto_sha256(crypto, bytes_of(text, strlen(text)), d->seed);
    random_bytes(d->seed, sizeof(d->seed));
    return 0;
}

void devnet_random_hex(struct devnet *d, struct crypto *crypto, char *out, size_t chars)
{
    uint8_t raw[CRYPTO_HASH_BYTES];
    TG_ASSERT(chars % 2 == 0 && chars <= 2 * sizeof(raw));
    if (draw(d, crypto, "token", d->drawn++, raw) != 0)
        random_bytes(raw, sizeof(raw));
    hex_write(out, raw, chars / 2);
    out[chars] = '\0';
}

void devnet_random_uuid(struct devnet *d, struct crypto *crypto, char out[37])
{
    char h[33];
    devnet_random_hex(d, crypto, h, 32);
    snprintf(out, 37, "%.8s-%.4s-4%.3s-a%.3s-%.12s", h, h + 8, h + 13, h + 17, h + 20);
}

int devnet_rotate_key(struct devnet *d, struct crypto *crypto)
{
    int rc = draw(d, crypto, "directory key", d->key_generation++, d->key_seed);
    return rc ? rc : crypto_ed25519_public(crypto, d->key_seed, d->public_key);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

time_t devnet_now(const struct devnet *d)
{
    return time(NULL) + (time_t)d->clock_skew_s;
}

bool devnet_sleep(const struct devnet *d, uint64_t ms)
{
    struct pollfd stop = {.fd = d->stop_fd, .events = POLLIN};
    uint64_t until = clock_now_ns() + ms * NS_PER_MS, now;
    while ((now = clock_now_ns()) < until) {
        int rc = poll(&stop, 1, (int)((until - now) / NS_PER_MS + 1));
        if (rc > 0)
            return false;
        if (rc < 0 && errno != EINTR)
            return true;
    }
    return true;
}

/* ---- start and end ------------------------------------------------------------------------------------- */

struct devnet *devnet_create(const struct devnet_options *o, struct crypto *crypto)
{
    struct devnet *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->options = o;
    d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&d->lock, NULL);
    if (d->stop_fd >= 0 && seed(d, crypto, o->seed) == 0 && devnet_rotate_key(d, crypto) == 0)
        return d;
    devnet_destroy(d);
    return NULL;
}

void devnet_destroy(struct devnet *d)
{
    if (!d)
        return;
    devnet_forget_nodes(d);
    pthread_mutex_destroy(&d->lock);
    if (d->stop_fd >= 0)
        close(d->stop_fd);
    free(d);
}
