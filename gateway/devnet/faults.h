/* SPDX-License-Identifier: Apache-2.0 */
/* Faults: which requests they befall, and what comes instead of the right answer. Pure tables; devnet's lock
 * guards them. */
#ifndef TG_DEVNET_FAULTS_H
#define TG_DEVNET_FAULTS_H

#include "tg/json.h"

#define FAULTS_MAX 64
#define FAULT_TEXT_MAX 255

#define FAULT_TYPE_TEXT(member) char member[FAULT_TEXT_MAX + 1];
#define FAULT_TYPE_NUMBER(member) uint32_t member;
#define FAULT_TYPE_FLAG(member) uint32_t member;

/* Zero and empty: not asked for. */
struct fault {
#define FAULT(member, type, least, most, help) FAULT_TYPE_##type(member)
#include "faults.def"
#undef FAULT
};

struct faults {
    struct fault list[FAULTS_MAX];
    uint32_t count;
    uint64_t applied;
};

/* What a body of POST /devnet/faults asks of the whole directory, beside one fault for its answers. */
struct fault_acts {
    bool skew, stale_nodes, forget_nodes, rotate_key;
    int64_t clock_skew_s;
};

/**
 * Read one object. @f and @acts are set on success; @changes tells whether @f does anything.
 * Returns NULL, or what is wrong; @member then names where (it lasts as long as the document).
 */
const char *fault_read(const struct tg_json_doc *doc, const struct tg_json_node *object, struct fault *f,
                       bool *changes, struct fault_acts *acts, struct tg_str *member);

/** False: FAULTS_MAX reached. */
bool faults_add(struct faults *fs, const struct fault *f);
/** The first fault for this request, taken from its count. False: none, @out is zero. */
bool faults_take(struct faults *fs, struct tg_str method, struct tg_str path, struct fault *out);
void faults_write(const struct faults *fs, struct tg_json_writer *w);

#endif
