/* The listening socket, and who is at the other end of an accepted one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control/internal.h"

#define BACKLOG	       64
#define DIRECTORY_MODE 0750
#define SOCKET_MODE    0660
/* Longest list of supplementary groups that is looked at; the kernel's own limit. */
#define MAX_GROUPS 65536

static enum err err_from_errno(void)
{
	switch (errno) {
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	case ENOMEM:
	case ENOBUFS:
		return ERR_NO_MEMORY;
	case EADDRINUSE:
		return ERR_EXISTS;
	case ENAMETOOLONG:
	case ENOTDIR:
		return ERR_INVALID;
	default:
		return ERR_SYSTEM;
	}
}

/* Makes the directory that @path lies in when it is missing. */
static enum err make_directory(const char *path, gid_t group)
{
	char directory[108];
	const char *slash = strrchr(path, '/');

	if (slash == path)
		return OK;
	memcpy(directory, path, (size_t)(slash - path));
	directory[slash - path] = '\0';
	if (mkdir(directory, DIRECTORY_MODE) != 0)
		return errno == EEXIST ? OK : err_from_errno();
	/* The mode again, whatever the umask is. */
	if (chown(directory, (uid_t)-1, group) != 0 || chmod(directory, DIRECTORY_MODE) != 0)
		return err_from_errno();
	return OK;
}

/* Removes a socket that nobody listens on. */
static enum err remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int fd, result, why;

	if (lstat(address->sun_path, &st) != 0)
		return errno == ENOENT ? OK : err_from_errno();
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return ERR_INVALID;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_from_errno();
	result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	why = errno;
	close(fd);
	errno = why;
	if (result == 0 || why == EAGAIN) {
		errno = EADDRINUSE;
		return ERR_EXISTS;
	}
	if (why != ECONNREFUSED)
		return err_from_errno();
	return unlink(address->sun_path) == 0 || errno == ENOENT ? OK : err_from_errno();
}

static enum err bind_to(int fd, const struct sockaddr_un *address, gid_t group)
{
	int why;

	/* The mode of the unbound socket is the one that bind() gives the file: nobody else gets
	 * in before the group is set. */
	if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
		return err_from_errno();
	if (chown(address->sun_path, (uid_t)-1, group) == 0 &&
	    chmod(address->sun_path, SOCKET_MODE) == 0 && listen(fd, BACKLOG) == 0)
		return OK;
	why = errno;
	unlink(address->sun_path);
	errno = why;
	return err_from_errno();
}

enum err control_socket_open(const struct control_params *params, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(params->path);
	enum err e;
	int fd, why;

	if (params->path[0] != '/' || len >= sizeof(address.sun_path)) {
		errno = EINVAL;
		return ERR_INVALID;
	}
	memcpy(address.sun_path, params->path, len + 1);
	e = make_directory(params->path, params->group);
	if (e == OK)
		e = remove_stale(&address);
	if (e != OK)
		return e;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_from_errno();
	e = bind_to(fd, &address, params->group);
	if (e != OK) {
		why = errno;
		close(fd);
		errno = why;
		return e;
	}
	*ret_fd = fd;
	return OK;
}

/* SO_PEERCRED has the primary group only. */
static bool has_group(int fd, gid_t group)
{
	socklen_t bytes = 0;
	gid_t *groups;
	bool found = false;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) == 0 || errno != ERANGE ||
	    bytes > MAX_GROUPS * sizeof(gid_t))
		return false;
	groups = malloc(bytes);
	if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0) {
		for (size_t i = 0; i < bytes / sizeof(gid_t); i++)
			found = found || groups[i] == group;
	}
	free(groups);
	return found;
}

enum control_access control_socket_access(int fd, gid_t group)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return CONTROL_ACCESS_NONE;
	if (peer.uid == 0 || peer.uid == geteuid())
		return CONTROL_ACCESS_CHANGE;
	if (group == (gid_t)-1)
		group = getegid();
	return peer.gid == group || has_group(fd, group) ? CONTROL_ACCESS_READ
							 : CONTROL_ACCESS_NONE;
}
