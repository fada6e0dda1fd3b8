/* What the machine says of a uid: its login, or whose subordinate id it is. Blocks as long as the name
 * service does. */
#include "scheduler/logins.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_FIRST_BYTES (16 << 10)
#define ENTRY_MAX_BYTES (4 << 20) /* of a passwd entry */
#define SUBUID_PATH "/etc/subuid"

bool login_is_subordinate(const char *path, uid_t uid)
{
    FILE *file = fopen(path, "re");
    char line[1024];
    bool found = false;
    for (int i = 0; file && !found && i < LOGIN_SUBUID_LINES && fgets(line, sizeof line, file); i++) {
        const char *colon = strchr(line, ':');
        char *end = NULL;
        unsigned long long first = colon ? strtoull(colon + 1, &end, 10) : 0;
        if (!colon || end == colon + 1 || *end != ':')
            continue;
        unsigned long long count = strtoull(end + 1, NULL, 10);
        found = uid >= first && uid - first < count;
    }
    if (file)
        (void)fclose(file);
    return found;
}

enum login_verdict login_look_up(uid_t uid, char name[HTTP_USER_NAME_MAX], int *error)
{
    struct passwd entry, *found = NULL;
    char *space = NULL;
    size_t size = ENTRY_FIRST_BYTES;
    int rc;
    FAULT("logins.before_look_up");
    do {
        space = xrealloc(space, size);
        rc = getpwuid_r(uid, &entry, space, size, &found);
        size *= 2;
    } while (rc == ERANGE && size <= ENTRY_MAX_BYTES);
    if (FAULT_FAILS("logins.look_up"))
        rc = EIO;
    enum login_verdict verdict = LOGIN_NONE;
    if (rc != 0) {
        *error = rc;
        verdict = LOGIN_FAILED;
    } else if (found && found->pw_name[0] && strlen(found->pw_name) < HTTP_USER_NAME_MAX) {
        snprintf(name, HTTP_USER_NAME_MAX, "%s", found->pw_name);
        verdict = LOGIN_FOUND;
    } else if (login_is_subordinate(SUBUID_PATH, uid)) {
        verdict = LOGIN_SUBORDINATE;
    }
    free(space);
    return verdict;
}
