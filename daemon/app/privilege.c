#include "daemon/app/privilege.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void privilege_protect_memory(void)
{
	struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static bool set_capabilities(uint64_t mask)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)mask, .permitted = (uint32_t)mask},
		{.effective = (uint32_t)(mask >> 32), .permitted = (uint32_t)(mask >> 32)},
	};

	return syscall(SYS_capset, &header, data) == 0;
}

static uint64_t held_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &header, data) != 0)
		return 0;
	return (uint64_t)data[1].permitted << 32 | data[0].permitted;
}

static bool become(const char *user)
{
	struct passwd *pw = getpwnam(user);

	if (!pw || pw->pw_uid == 0)
		return pw != NULL;
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && initgroups(user, pw->pw_gid) == 0 &&
	       setgid(pw->pw_gid) == 0 && setuid(pw->pw_uid) == 0;
}

enum err privilege_drop(const char *user)
{
	uint64_t keep = 1ull << CAP_NET_ADMIN;

	if (user[0] && !getpwnam(user))
		return ERR_NOT_FOUND;
	if (user[0] && geteuid() == 0 && !become(user))
		return ERR_PERMISSION;
	/* As root we still start the helper, which becomes nobody, and end it. */
	if (geteuid() == 0)
		keep |= 1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_KILL;
	keep &= held_capabilities();
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (!(keep & 1ull << cap))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* needs CAP_SETPCAP */
	}
	if (!set_capabilities(keep) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return ERR_PERMISSION;
	return OK;
}
