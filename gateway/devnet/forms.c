/* SPDX-License-Identifier: Apache-2.0 */
/* What single texts may look like: one small function each, and the table that names them. */
#include "forms.h"

#include <string.h>

#include "gateway/base/base64.h"
#include "gateway/control/outbound.h"
#include "text.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* The first character from one set, all others from another. */
static bool made_of(const char *s, const char *first, const char *others)
{
    return s[0] && strchr(first, s[0]) && s[1 + strspn(s + 1, others)] == '\0';
}

static bool is_region(const char *s)
{
    return made_of(s, LOWER UPPER, LOWER UPPER DIGIT "-_");
}

static bool is_node_id(const char *s)
{
    return made_of(s, LOWER UPPER DIGIT, LOWER UPPER DIGIT "._:-");
}

static bool is_slug(const char *s)
{
    return made_of(s, LOWER DIGIT "_-", LOWER DIGIT "_-");
}

static bool is_hex(const char *s)
{
    return made_of(s, DIGIT "abcdef", DIGIT "abcdef");
}

static bool is_printable(const char *s)
{
    for (; *s; s++)
        if (*s < ' ' || *s > '~')
            return false;
    return true;
}

static bool is_http_url(const char *s)
{
    struct outbound_url url;
    return !outbound_url_parse(text_of(s), &url);
}

static bool is_native_url(const char *s)
{
    size_t scheme = strncmp(s, "iicp://", 7) == 0 ? 7 : strncmp(s, "iicpsec://", 10) == 0 ? 10 : 0;
    return scheme > 0 && s[scheme] && is_printable(s) && !strchr(s, ' ');
}

static bool is_base64url(const char *s)
{
    uint8_t raw[256];
    return base64_read(raw, sizeof(raw), text_of(s)) >= 0;
}

static bool is_time(const char *s)
{
    time_t when;
    return text_time_read(text_of(s), &when);
}

/* "HH:MM" */
static bool is_clock(const char *s)
{
    return strlen(s) == 5 && s[2] == ':' && strspn(s, DIGIT) == 2 && strspn(s + 3, DIGIT) == 2 &&
           strncmp(s, "24", 2) < 0 && s[3] < '6';
}

static bool is_modality(const char *s)
{
    return form_word("text|image|audio|video", s);
}

/* ---- intents ------------------------------------------------------------------------------------------- */

/* Takes one field up to the next colon (or the end) and returns what follows it; NULL: not of these
 * characters. */
static const char *field(const char *s, const char *first, const char *others)
{
    if (!s || !*s || !strchr(first, *s))
        return NULL;
    s += 1 + strspn(s + 1, others);
    return *s == ':' ? s + 1 : *s == '\0' ? s : NULL;
}

/* urn:iicp:intent:<domain or x.vendor>:<name>:v<n> */
static bool is_intent(const char *s)
{
    static const char prefix[] = "urn:iicp:intent:";
    if (strncmp(s, prefix, sizeof(prefix) - 1) != 0)
        return false;
    s += sizeof(prefix) - 1;
    bool vendor = strncmp(s, "x.", 2) == 0;
    s = field(vendor ? s + 2 : s, LOWER, vendor ? LOWER DIGIT "-" : LOWER DIGIT "_");
    s = field(s, LOWER, LOWER DIGIT "_-");
    return s && s[0] == 'v' && made_of(s + 1, "123456789", DIGIT);
}

static bool is_intent_or_any(const char *s)
{
    return strcmp(s, "*") == 0 || is_intent(s);
}

static bool fragment_fits(const char *fragment, const char *s)
{
    for (; *fragment; fragment++, s++) {
        char c = *s >= 'A' && *s <= 'Z' ? (char)(*s | 0x20) : *s;
        bool fits = *fragment == '?'   ? c && strchr("-_:", c)
                    : *fragment == '~' ? c && strchr("-_", c)
                                       : c == *fragment;
        if (!fits)
            return false;
    }
    return true;
}

const char *form_prohibited(const char *intent)
{
    static const char *const fragments[] = {
#define PROHIBITED(fragment) fragment,
#include "prohibited.def"
#undef PROHIBITED
    };
    for (; *intent; intent++)
        for (size_t i = 0; i < TG_ARRAY_SIZE(fragments); i++)
            if (fragment_fits(fragments[i], intent))
                return fragments[i];
    return NULL;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*holds)(const char *s);
} forms[] = {
    {"base64url", is_base64url}, {"clock", is_clock},           {"hex", is_hex},
    {"http_url", is_http_url},   {"intent", is_intent},         {"intent_or_any", is_intent_or_any},
    {"modality", is_modality},   {"native_url", is_native_url}, {"node_id", is_node_id},
    {"printable", is_printable}, {"region", is_region},         {"slug", is_slug},
    {"time", is_time},
};

bool form_holds(const char *form, const char *s)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(forms); i++)
        if (strcmp(forms[i].name, form) == 0)
            return forms[i].holds(s);
    return true;
}

bool form_word(const char *words, const char *s)
{
    size_t len = strlen(s);
    for (const char *w = words; *w;) {
        size_t n = strcspn(w, "|");
        if (n == len && memcmp(w, s, n) == 0)
            return true;
        w += n + (w[n] == '|');
    }
    return false;
}
