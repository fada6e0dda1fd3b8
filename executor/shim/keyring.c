/* Session keyrings are inherited, and whoever holds one may use its keys: a task must not hold the service's.
 */
#include "executor/shim/shim.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool keyring_join(struct error *err)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0)
        return true;
    /* No keyrings here, or none for anybody in this container: the task can't reach any either. */
    return errno == ENOSYS || errno == EPERM || error_errno(err, errno, "can't create a session keyring");
}
