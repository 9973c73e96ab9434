/* SPDX-License-Identifier: Apache-2.0 */
/* Calling nodes back, by libcurl: one easy handle for each call. */
#include "dial.h"

#include <curl/curl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/control/outbound.h"

#define ANSWER_BYTES_MAX (64u << 10)

/* Of the answer only the status counts; a long one is cut off. */
static size_t swallow(char *data, size_t size, size_t n, void *context)
{
    size_t *seen = context;
    (void)data;
    *seen += size * n;
    return *seen <= ANSWER_BYTES_MAX ? size * n : CURL_WRITEFUNC_ERROR;
}

static void configure(CURL *c, const char *url, bool head, uint32_t timeout_ms, size_t *seen)
{
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOBODY, head ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "taskgate-devnet/" TASKGATE_VERSION);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, seen);
}

long dial(const char *url, bool head, uint32_t timeout_ms, char why[DIAL_WHY_MAX])
{
    CURL *c = curl_easy_init();
    long status = 0;
    size_t seen = 0;
    snprintf(why, DIAL_WHY_MAX, "out of memory");
    if (!c)
        return 0;
    configure(c, url, head, timeout_ms, &seen);
    CURLcode rc = curl_easy_perform(c);
    snprintf(why, DIAL_WHY_MAX, "%s", curl_easy_strerror(rc));
    if (rc == CURLE_OK || rc == CURLE_WRITE_ERROR)
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    return status;
}

static bool all_public(const struct addrinfo *list)
{
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        struct sockaddr_storage s = {0};
        struct address address;
        memcpy(&s, a->ai_addr, TG_MIN((size_t)a->ai_addrlen, sizeof(s)));
        if (!address_of_socket(&s, &address) || !outbound_address_public(&address))
            return false;
    }
    return list != NULL;
}

bool dial_host_public(struct tg_str host)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char name[256];
    if (outbound_host_private(host) || host.len >= sizeof(name))
        return false;
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    bool good = getaddrinfo(name, NULL, &hints, &list) == 0 && all_public(list);
    if (list)
        freeaddrinfo(list);
    return good;
}
