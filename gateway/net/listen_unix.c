/* SPDX-License-Identifier: Apache-2.0 */
/* Listening on a Unix socket: its file, and what a predecessor may have left in its place. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "net.h"

#define SOCKET_MODE 0660 /* owner and group: connecting needs write permission */

static int fill(const char *path, struct sockaddr_un *a, char *error, size_t error_len)
{
    size_t len = strlen(path), most = sizeof(a->sun_path) - 1;
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len > most) {
        snprintf(error, error_len, "unix:%s: the path has %zu bytes, 1 to %zu are possible", path, len, most);
        return -ENAMETOOLONG;
    }
    memcpy(a->sun_path, path, len);
    return 0;
}

/* Does somebody accept connections there? A full backlog (EAGAIN) is an answer too. */
static bool is_answered(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool refused = connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

/* Make way: only a socket that nobody answers on is removed. */
static int clear(const struct sockaddr_un *a, char *error, size_t error_len)
{
    struct stat s;
    if (lstat(a->sun_path, &s) < 0)
        return 0; /* nothing there; what else is wrong, bind() will say */
    if (!S_ISSOCK(s.st_mode)) {
        snprintf(error, error_len, "cannot listen on unix:%s: a file that is no socket is in the way", a->sun_path);
        return -EEXIST;
    }
    if (is_answered(a)) {
        snprintf(error, error_len, "cannot listen on unix:%s: another process answers there", a->sun_path);
        return -EADDRINUSE;
    }
    unlink(a->sun_path);
    return 0;
}

/* The file is born with its mode: nobody can slip in before a chmod(). */
static int bind_with_mode(int fd, const struct sockaddr_un *a)
{
    mode_t old = umask(0777 & ~SOCKET_MODE);
    int rc = bind(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 ? -errno : 0;
    umask(old);
    return rc;
}

static void remember(const char *path, struct listen_file *file)
{
    struct stat s;
    *file = (struct listen_file){0};
    if (lstat(path, &s) < 0)
        return;
    snprintf(file->path, sizeof(file->path), "%s", path);
    file->device = s.st_dev;
    file->inode = s.st_ino;
}

int listen_unix_open(const char *path, int backlog, struct listen_file *file, char *error, size_t error_len)
{
    struct sockaddr_un a;
    int rc = fill(path, &a, error, error_len);
    if (rc == 0)
        rc = clear(&a, error, error_len);
    if (rc < 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd < 0 ? -errno : bind_with_mode(fd, &a);
    if (rc == 0) {
        remember(path, file);
        rc = listen(fd, backlog) < 0 ? -errno : 0;
        if (rc < 0)
            listen_unix_remove(file);
    }
    if (rc == 0)
        return fd;
    snprintf(error, error_len, "cannot listen on unix:%s: %s", path, strerror(-rc));
    if (fd >= 0)
        close(fd);
    return rc;
}

void listen_unix_remove(struct listen_file *file)
{
    struct stat s;
    if (file->path[0] && lstat(file->path, &s) == 0 && s.st_dev == file->device && s.st_ino == file->inode)
        unlink(file->path);
    file->path[0] = '\0';
}
