/* Preloaded (LD_PRELOAD) where no file system may be mounted: the folder $READ_ONLY_FOLDER refuses to be written, as one on a
 * read-only disk does, to whatever program runs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Whether PATH, relative to the folder open as AT, lies in the folder; errno says so then. */
static int refused(int at, const char *path) {
    const char *folder = getenv("READ_ONLY_FOLDER");
    char whole[2 * PATH_MAX] = "", link[64];
    if (!folder || !path) return 0;
    if (path[0] != '/') {
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, whole, PATH_MAX - 1);
        if (length < 0) return 0;
        whole[length] = '/';
    }
    strncat(whole, path, sizeof whole - strlen(whole) - 1);
    size_t length = strlen(folder);
    if (strncmp(whole, folder, length) || (whole[length] && whole[length] != '/')) return 0;
    errno = EROFS;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name, at, parameters, ...)                                     \
    int name parameters {                                                   \
        mode_t mode = 0;                                                    \
        if (flags & (O_CREAT | O_TMPFILE)) {                                \
            va_list rest;                                                   \
            va_start(rest, flags);                                          \
            mode = va_arg(rest, mode_t);                                    \
            va_end(rest);                                                   \
        }                                                                   \
        if ((flags & O_ACCMODE) != O_RDONLY && refused(at, path)) return -1; \
        return REAL(name)(__VA_ARGS__, flags, mode);                        \
    }
OPEN(open, AT_FDCWD, (const char *path, int flags, ...), path)
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), path)
OPEN(openat, folder, (int folder, const char *path, int flags, ...), folder, path)
OPEN(openat64, folder, (int folder, const char *path, int flags, ...), folder, path)

#define CHANGE(name, at, path, parameters, ...) \
    int name parameters { return refused(at, path) ? -1 : REAL(name)(__VA_ARGS__); }
CHANGE(mkdir, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
CHANGE(unlink, AT_FDCWD, path, (const char *path), path)
CHANGE(rename, AT_FDCWD, to, (const char *from, const char *to), from, to)
CHANGE(unlinkat, folder, path, (int folder, const char *path, int flags), folder, path, flags)
