/* SPDX-License-Identifier: Apache-2.0 */
/* The cuda device's line of settings: "device=0,pin_mib=1024,buffer_kib=32768,direct_kib=64,graphs=1". */
#ifndef TG_CUDA_SETTINGS_H
#define TG_CUDA_SETTINGS_H

#include "tg/runner.h"

/* direct_kib: as measured when the device is opened. */
#define TG_CUDA_DIRECT_MEASURED 1048576

struct tg_cuda_settings {
    char device[64]; /* index or UUID */
#define SETTING(key, default_value, min, max) uint64_t key;
#include "settings.def"
#undef SETTING
};

/** Returns 0, or -EINVAL with @why naming the setting. @spec NULL: all as they are by default. */
int tg_cuda_settings_parse(const char *spec, struct tg_cuda_settings *settings, struct tg_error *why);

/** As nvidia-smi writes it, "GPU-" or, for a part of one, "MIG-", and 8-4-4-4-12 hex digits. @name  as CUDA has it */
#define TG_CUDA_UUID_BYTES 41
void tg_cuda_uuid_write(const char *name, const unsigned char uuid[16], char text[static TG_CUDA_UUID_BYTES]);

/** Does "3" name device 3, or "GPU-1f2e..." (also "MIG-...", also shortened) the device with that UUID? */
bool tg_cuda_device_matches(const char *wanted, uint32_t index, const unsigned char uuid[16]);

#endif
