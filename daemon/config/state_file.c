#include "daemon/config/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOSE_MODE (S_IRWXG | S_IRWXO)

enum err state_file_fail(char error[static STATE_ERROR_BYTES], enum err e, const char *directory,
			 const char *file, const char *why)
{
	snprintf(error, STATE_ERROR_BYTES, "%s%s%s: %s", directory, file ? "/" : "",
		 file ? file : "", why);
	return e;
}

enum err state_file_fail_errno(char error[static STATE_ERROR_BYTES], const char *directory,
			       const char *file)
{
	int why = errno;

	if (why == ELOOP)
		return state_file_fail(error, ERR_PERMISSION, directory, file,
				       "must not be a symbolic link");
	return state_file_fail(
		error, why == EACCES || why == EPERM || why == EROFS ? ERR_PERMISSION : ERR_IO,
		directory, file, strerror(why));
}

/* Only we may have had access to what @fd is. */
static enum err check_owner(int fd, const char *directory, const char *file,
			    char error[static STATE_ERROR_BYTES])
{
	char why[128];
	struct stat st;

	if (fstat(fd, &st) != 0)
		return state_file_fail_errno(error, directory, file);
	if (st.st_uid != geteuid()) {
		snprintf(why, sizeof(why), "belongs to user %u, not to the daemon's user %u",
			 st.st_uid, geteuid());
		return state_file_fail(error, ERR_PERMISSION, directory, file, why);
	}
	if (st.st_mode & LOOSE_MODE) {
		snprintf(why, sizeof(why), "has mode %04o, must be %s", st.st_mode & 07777,
			 file ? "0600" : "0700");
		return state_file_fail(error, ERR_PERMISSION, directory, file, why);
	}
	if (file && !S_ISREG(st.st_mode))
		return state_file_fail(error, ERR_PERMISSION, directory, file,
				       "must be a regular file");
	return OK;
}

enum err state_directory_open(const char *directory, int *ret_fd,
			      char error[static STATE_ERROR_BYTES])
{
	enum err e;
	int fd;

	if (mkdir(directory, S_IRWXU) != 0 && errno != EEXIST)
		return state_file_fail_errno(error, directory, NULL);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return state_file_fail_errno(error, directory, NULL);
	e = check_owner(fd, directory, NULL, error);
	if (e != OK) {
		close(fd);
		return e;
	}
	*ret_fd = fd;
	return OK;
}

/* Reads up to @cap bytes. Return: how many, or -1. */
static ssize_t read_all(int fd, uint8_t *buf, size_t cap)
{
	size_t at = 0;
	ssize_t n;

	do {
		n = read(fd, buf + at, cap - at);
		if (n > 0)
			at += (size_t)n;
	} while ((n > 0 && at < cap) || (n < 0 && errno == EINTR));
	return n < 0 ? -1 : (ssize_t)at;
}

enum err state_file_read(int dir, const char *directory, const char *file, uint8_t *buf, size_t cap,
			 size_t *ret_len, char error[static STATE_ERROR_BYTES])
{
	ssize_t len;
	enum err e;
	int fd;

	*ret_len = 0;
	/* O_NONBLOCK: somebody may have put a FIFO there. */
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? OK : state_file_fail_errno(error, directory, file);
	e = check_owner(fd, directory, file, error);
	if (e == OK) {
		len = read_all(fd, buf, cap);
		if (len < 0)
			e = state_file_fail_errno(error, directory, file);
		else if (len == 0)
			e = state_file_fail(error, DROP_MALFORMED, directory, file, "is empty");
		else
			*ret_len = (size_t)len;
	}
	close(fd);
	return e;
}

static bool write_all(int fd, const uint8_t *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return true;
}

enum err state_file_write(int dir, const char *directory, const char *file, const uint8_t *buf,
			  size_t len, char error[static STATE_ERROR_BYTES])
{
	char temporary[32];
	enum err e;
	bool ok;
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", file);
	if (unlinkat(dir, temporary, 0) != 0 && errno != ENOENT)
		return state_file_fail_errno(error, directory, temporary);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    S_IRUSR | S_IWUSR);
	if (fd < 0)
		return state_file_fail_errno(error, directory, temporary);
	ok = write_all(fd, buf, len) && fsync(fd) == 0;
	if (ok && renameat(dir, temporary, dir, file) == 0 && fsync(dir) == 0) {
		close(fd);
		return OK;
	}
	e = state_file_fail_errno(error, directory, temporary);
	unlinkat(dir, temporary, 0);
	close(fd);
	return e;
}
