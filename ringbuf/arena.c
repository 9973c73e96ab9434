/* SPDX-License-Identifier: Apache-2.0 */
/* The start-up arena: a bump allocator over one mapping. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tg/arena.h"

/* A memfd whose size is fixed for good: nobody who maps it can be handed SIGBUS by somebody else's
 * ftruncate(). */
static int shared_memory(size_t bytes)
{
    int fd = memfd_create("taskgate-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)bytes) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

int tg_arena_init(struct tg_arena *a, size_t bytes, enum tg_arena_kind kind)
{
    *a = (struct tg_arena){.fd = -1};
    if (bytes == 0 || bytes > PTRDIFF_MAX)
        return -EINVAL;
    int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (kind == TG_ARENA_SHARED) {
        fd = shared_memory(bytes);
        if (fd < 0)
            return fd;
        flags = MAP_SHARED;
    }
    /* NORESERVE: the size is an upper bound, and only pages that are touched should count against the host.
     */
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED) {
        int err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    *a = (struct tg_arena){.base = base, .size = bytes, .fd = fd};
    return 0;
}

void tg_arena_finish(struct tg_arena *a)
{
    if (a->base)
        munmap(a->base, a->size);
    if (a->fd >= 0)
        close(a->fd);
    *a = (struct tg_arena){.fd = -1};
}

void *tg_arena_alloc(struct tg_arena *a, size_t bytes, size_t align)
{
    TG_ASSERT(!a->sealed);
    TG_ASSERT(align != 0 && (align & (align - 1)) == 0);
    /* The address is what must be aligned: the mapping itself is only page-aligned. */
    size_t gap = -((uintptr_t)a->base + a->used) & (align - 1);
    size_t room = a->size - a->used;
    if (gap > room || bytes > room - gap)
        return NULL;
    void *memory = a->base + a->used + gap;
    a->used += gap + bytes;
    return memory;
}

void tg_arena_seal(struct tg_arena *a)
{
    a->sealed = true;
}
