/* SPDX-License-Identifier: Apache-2.0 */
/* What single texts may look like. Pure. */
#ifndef TG_DEVNET_FORMS_H
#define TG_DEVNET_FORMS_H

#include "tg/def.h"

/** Is @s of the form of that name? Unknown names and "" take anything. */
bool form_holds(const char *form, const char *s);
/** Is @s one of the words in "a|b|c"? */
bool form_word(const char *words, const char *s);
/** Why no directory takes this intent, or NULL. */
const char *form_prohibited(const char *intent);

#endif
