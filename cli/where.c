/* The rules that choose a Berth. */
#include "cli/where.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *where_home(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return xstrdup(home);
    const struct passwd *entry = getpwuid(getuid());
    return entry && entry->pw_dir && entry->pw_dir[0] == '/' ? xstrdup(entry->pw_dir) : NULL;
}

char *where_absolute(const char *path, struct error *err)
{
    if (path[0] == '/')
        return xstrdup(path);
    _cleanup_free_ char *cwd = getcwd(NULL, 0);
    if (!cwd) {
        error_errno(err, errno, "can't tell the working folder");
        return NULL;
    }
    while (path[0] == '.' && path[1] == '/')
        for (path += 2; *path == '/';)
            path++;
    return xasprintf("%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, path);
}

char *where_state_dir(const char *option, struct error *err)
{
    if (option && !*option) {
        error_set(err, ERROR_INVALID, "--state-dir is empty");
        return NULL;
    }
    if (option)
        return where_absolute(option, err);
    if (geteuid() == 0)
        return xstrdup("/var/lib/berth");
    const char *xdg = getenv("XDG_STATE_HOME");
    if (xdg && xdg[0] == '/')
        return xasprintf("%s/berth", xdg);
    _cleanup_free_ char *home = where_home();
    if (!home) {
        error_set(err, ERROR_NOT_FOUND, "you have no home folder to keep Berth's state in");
        error_hint(err, "give one with --state-dir DIR");
        return NULL;
    }
    return xasprintf("%s/.local/state/berth", home);
}

static bool resolve_named(const char *host, struct where *out, struct error *err)
{
    static const char unix_scheme[] = "unix://";
    out->kind = WHERE_NAMED;
    if (strncmp(host, unix_scheme, sizeof unix_scheme - 1) == 0) {
        host += sizeof unix_scheme - 1;
    } else if (strstr(host, "://")) {
        error_set(err, ERROR_UNSUPPORTED, "a Berth on another machine (%s) is not honoured yet", host);
        return error_hint(err, "log in there, or name a socket of this machine: --host /path/to/berth.sock");
    }
    if (!strchr(host, '/')) {
        error_set(err, ERROR_INVALID, "--host takes the path of a socket; \"%s\" is none", host);
        return error_hint(err, "berth --host /path/to/berth.sock ...");
    }
    out->socket = where_absolute(host, err);
    return out->socket != NULL;
}

bool where_resolve(const struct args_base *base, struct where *out, struct error *err)
{
    *out = (struct where){0};
    const char *named = base->host ? base->host : getenv("BERTH_HOST");
    if (named && *named) {
        if (!base->host && base->state_dir)
            cli_note("--state-dir does not count here: BERTH_HOST is %s (--host names another)", named);
        return resolve_named(named, out, err);
    }
    struct stat st;
    if (lstat(WHERE_SYSTEM_SOCKET, &st) == 0) {
        out->kind = WHERE_SYSTEM;
        out->socket = xstrdup(WHERE_SYSTEM_SOCKET);
        if (base->state_dir)
            cli_note("--state-dir does not count here: this machine's Berth is at " WHERE_SYSTEM_SOCKET
                     " (--host names another)");
        return true;
    }
    out->kind = WHERE_OWN;
    out->state_dir = where_state_dir(base->state_dir, err);
    if (!out->state_dir)
        return false;
    out->socket = xasprintf("%s/berth.sock", out->state_dir);
    return true;
}

void where_finish(struct where *where)
{
    free(where->socket);
    free(where->state_dir);
    *where = (struct where){0};
}
