#include "daemon/signaling/helper/privilege.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

static enum err drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};
	struct __user_cap_data_struct left[2];

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) || syscall(SYS_capget, &head, left))
		return ERR_SYSTEM;
	for (int i = 0; i < 2; i++) {
		if (left[i].effective || left[i].permitted || left[i].inheritable)
			return ERR_SYSTEM;
	}
	return OK;
}

/* What fails here leaves a root without capabilities, if drop_capabilities() succeeds. */
static void become_nobody(void)
{
	if (geteuid() != 0)
		return;
	/* Needs CAP_SETPCAP, which leaves with root. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)!setgroups(0, NULL);
	(void)!setresgid(NOBODY, NOBODY, NOBODY);
	(void)!setresuid(NOBODY, NOBODY, NOBODY);
}

enum err privilege_drop(void)
{
	const struct rlimit no_core = {0, 0};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	become_nobody();
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return drop_capabilities();
}
