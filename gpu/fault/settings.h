/* SPDX-License-Identifier: Apache-2.0 */
/* What the fault device was told: which device it wraps, and what goes wrong when. */
#ifndef TG_FAULT_SETTINGS_H
#define TG_FAULT_SETTINGS_H

#include "../backend.h"

/* One field per row of settings.def. */
struct tg_fault_settings {
#define SETTING(field, text, kind, smallest, largest, initial, meaning) uint64_t field;
#include "settings.def"
#undef SETTING
    const struct tg_backend *wrapped;
    char wrapped_spec[128]; /* empty if it has no settings */
};

/** Parse @spec by the grammar in README.md. Returns 0, or -EINVAL with the offending part in @why. */
int tg_fault_settings_parse(const char *spec, struct tg_fault_settings *settings, struct tg_error *why);

#endif
