/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: a temporary one beside the target, written, synced, renamed over it, and the folder synced. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY_SUFFIX ".XXXXXX"
#define HOME_BUFFER_BYTES 4096

/* ---- where ----------------------------------------------------------------------------------------------- */

static bool home_dir(char out[static STORE_PATH_MAX])
{
    const char *home = getenv("HOME");
    char buffer[HOME_BUFFER_BYTES];
    struct passwd entry, *found = NULL;
    if (!home || home[0] != '/')
        home = getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found ? found->pw_dir : NULL;
    if (!home || home[0] != '/')
        return false;
    return snprintf(out, STORE_PATH_MAX, "%s/.iicp", home) < STORE_PATH_MAX;
}

bool store_dir(const char *configured, char out[static STORE_PATH_MAX])
{
    const char *given = configured && configured[0] ? configured : getenv("STATE_DIRECTORY");
    if (!given || !given[0])
        return home_dir(out);
    /* A service manager may name several, joined by colons. */
    size_t len = given == configured ? strlen(given) : strcspn(given, ":");
    while (len > 1 && given[len - 1] == '/')
        len--;
    if (len == 0 || len >= STORE_PATH_MAX)
        return false;
    memcpy(out, given, len);
    out[len] = '\0';
    return true;
}

int store_make_parent(const char *path)
{
    char folder[STORE_PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof(folder))
        return -ENAMETOOLONG;
    memcpy(folder, path, len + 1);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
            int rc = -errno;
            /* A folder that is there may lie below one that forbids making any. */
            if (access(folder, F_OK) < 0)
                return rc;
        }
        *slash = '/';
    }
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static int write_all(int fd, struct tg_str content)
{
    while (content.len > 0) {
        ssize_t n = write(fd, content.ptr, content.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        content = (struct tg_str){content.ptr + n, content.len - (size_t)n};
    }
    return 0;
}

/* A rename is durable once its folder is. */
static int sync_folder_of(const char *path)
{
    char folder[STORE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)TG_MAX(slash - path, 1) : 1, slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static int fill(int fd, struct tg_str content, bool durable)
{
    int rc = write_all(fd, content);
    if (rc == 0 && durable && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno; /* network file systems say only now that they are full */
    return rc;
}

static int replace(const char *path, struct tg_str content, bool durable)
{
    char temporary[STORE_PATH_MAX + sizeof(TEMPORARY_SUFFIX)];
    if (strlen(path) >= STORE_PATH_MAX)
        return -ENAMETOOLONG;
    snprintf(temporary, sizeof(temporary), "%s" TEMPORARY_SUFFIX, path);
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 from its first moment */
    if (fd < 0)
        return -errno;
    int rc = fill(fd, content, durable);
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(temporary);
    return rc;
}

int store_write(const char *path, struct tg_str content)
{
    int rc = replace(path, content, true);
    return rc < 0 ? rc : sync_folder_of(path);
}

int store_write_fast(const char *path, struct tg_str content)
{
    return replace(path, content, false);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* Whoever can write a secret can choose it, and whoever can read it has it. Root can do both anyway. */
static bool kept_secret(const struct stat *s)
{
    return (s->st_uid == geteuid() || s->st_uid == 0) && (s->st_mode & 077) == 0;
}

static int check(int fd, bool secret, size_t cap)
{
    struct stat s;
    if (fstat(fd, &s) < 0)
        return -errno;
    if (!S_ISREG(s.st_mode))
        return S_ISDIR(s.st_mode) ? -EISDIR : -EINVAL;
    if (secret && !kept_secret(&s))
        return -EACCES;
    return s.st_size > 0 && (uint64_t)s.st_size > cap ? -EFBIG : 0;
}

static int64_t read_all(int fd, char *out, size_t cap)
{
    size_t len = 0;
    char more;
    for (;;) {
        ssize_t n = len < cap ? read(fd, out + len, cap - len) : read(fd, &more, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : (int64_t)len;
        if (len == cap)
            return -EFBIG; /* grew since it was looked at */
        len += (size_t)n;
    }
}

int64_t store_read(const char *path, bool secret, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe in its place must not hold us */
    if (fd < 0)
        return -errno;
    int64_t rc = check(fd, secret, cap);
    if (rc == 0)
        rc = read_all(fd, out, cap);
    close(fd);
    return rc;
}

bool store_exposed(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && !kept_secret(&s);
}

int store_lock(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
    close(fd);
    return rc;
}
