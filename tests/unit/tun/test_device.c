#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/tun/netns.h"
#include "tun/device.h"
#include "tun/device_internal.h"
#include "tun/netcfg.h"
#include "tun/vnet.h"

static char why[TUN_WHY_CAP];

static struct tun_device *open_named(const char *name, unsigned int queues, bool vnet_hdr)
{
	struct tun_device_params params = {
		.name = name, .queues = queues, .want_vnet_hdr = vnet_hdr};
	struct tun_device *dev = NULL;

	ok(tun_device_open(&params, &dev, why, sizeof(why)));
	return dev;
}

/* The open has to fail with @err and a sentence that contains @word. */
static void check_refused(const char *path, const struct tun_device_params *params, int err,
			  const char *word)
{
	struct tun_device *const untouched = (struct tun_device *)why;
	struct tun_device *dev = untouched;
	unsigned int fds = netns_count_fds();

	why[0] = '\0';
	assert_int_equal(tun_device_open_at(path, params, &dev, why, sizeof(why)), err);
	if (!strstr(why, word))
		fail_msg("\"%s\" does not say \"%s\"", why, word);
	assert_ptr_equal(dev, untouched);
	assert_int_equal(netns_count_fds(), fds);
	/* The same without a buffer for the sentence. */
	assert_int_equal(tun_device_open_at(path, params, &dev, NULL, 0), err);
}

static void check_name_refused(const char *name, int err, const char *word)
{
	struct tun_device_params params = {.name = name, .queues = 1};

	check_refused("/dev/net/tun", &params, err, word);
}

static void test_open(void **state)
{
	struct tun_device *dev = open_named("ice0", 1, false);
	int fd = tun_device_fd(dev, 0);
	uint8_t packet[20] = {0x45};

	(void)state;
	assert_string_equal(tun_device_name(dev), "ice0");
	assert_int_equal(tun_device_ifindex(dev), if_nametoindex("ice0"));
	assert_true(tun_device_ifindex(dev) > 0);
	assert_int_equal(tun_device_queues(dev), 1);
	assert_false(tun_device_offloads(dev).vnet_hdr);
	assert_false(tun_device_offloads(dev).tso);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_false(netns_shows("link show dev ice0", ",UP"));
	/* What the header says about a device that is down. */
	assert_int_equal(write(fd, packet, sizeof(packet)), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(read(fd, packet, sizeof(packet)), -1);
	assert_int_equal(errno, EAGAIN);
	tun_device_close(dev);
	assert_int_equal(if_nametoindex("ice0"), 0);
	tun_device_close(NULL);
}

static void test_numbered_name(void **state)
{
	struct tun_device *a = open_named("ice%d", 1, false);
	struct tun_device *b = open_named("ice%d", 1, false);

	(void)state;
	assert_string_equal(tun_device_name(a), "ice0");
	assert_string_equal(tun_device_name(b), "ice1");
	assert_int_not_equal(tun_device_ifindex(a), tun_device_ifindex(b));
	tun_device_close(a);
	tun_device_close(b);
}

static void test_bad_params(void **state)
{
	static const char *const names[] = {"",
					    ".",
					    "..",
					    "a/b",
					    "a b",
					    "a:b",
					    "a\n",
					    "ice%",
					    "i%s0",
					    "%d%d",
					    "i%%d",
					    "i%5d",
					    "sixteen-bytes-xx",
					    "a-name-that-is-much-too-long"};
	struct tun_device_params params = {.name = "ice0"};

	(void)state;
	check_name_refused(NULL, -EINVAL, "1 to 15 characters");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_name_refused(names[i], -EINVAL, "1 to 15 characters");
	check_refused("/dev/net/tun", &params, -EINVAL, "0 queues are not possible");
	params.queues = TUN_DEVICE_QUEUES_MAX + 1;
	check_refused("/dev/net/tun", &params, -EINVAL, "use 1 to 64");
	tun_device_close(open_named("fifteen-bytes-x", 1, false));
}

static void test_queues(void **state)
{
	struct tun_device_params join = {.name = "ice0", .queues = 2};
	struct tun_device *dev = open_named("ice0", 4, false);

	(void)state;
	assert_int_equal(tun_device_queues(dev), 4);
	for (unsigned int i = 0; i < 4; i++) {
		assert_true(fcntl(tun_device_fd(dev, i), F_GETFL) & O_NONBLOCK);
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(tun_device_fd(dev, i), tun_device_fd(dev, j));
	}
	/* The kernel alone would let this one in as another queue. */
	check_refused("/dev/net/tun", &join, -EBUSY, "ice0 exists already");
	tun_device_close(dev);
	assert_int_equal(if_nametoindex("ice0"), 0);
}

static int hold_device(void *arg)
{
	struct tun_device_params params = {.name = "ice0", .queues = 1};
	int *pipes = arg;
	struct tun_device *dev;
	char byte = 0;

	if (tun_device_open(&params, &dev, why, sizeof(why)))
		return 1;
	if (write(pipes[1], "r", 1) != 1 || read(pipes[2], &byte, 1) != 1)
		return 2;
	tun_device_close(dev);
	return 0;
}

/* Held by another process, which then dies without closing it: the name is free again. */
static void test_busy_other_process(void **state)
{
	int pipes[4], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_false(pipe(pipes) || pipe(pipes + 2));
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(hold_device(pipes));
	/* Only the child keeps this end, so that its death ends the read. */
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	check_name_refused("ice0", -EBUSY, "is icetund running?");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	tun_device_close(open_named("ice0", 1, false));
	close(pipes[0]);
	close(pipes[2]);
	close(pipes[3]);
}

static void test_busy_here(void **state)
{
	struct tun_device *dev = open_named("ice0", 1, false);

	(void)state;
	check_name_refused("ice0", -EBUSY, "ice0 exists already");
	tun_device_close(dev);
	check_name_refused("lo", -EBUSY, "lo exists already");
	/* A persistent device without a reader belongs to who made it. */
	netns_ip_ok("tuntap add dev keep0 mode tun");
	check_name_refused("keep0", -EBUSY, "keep0 exists already");
	netns_ip_ok("tuntap del dev keep0 mode tun");
}

static void test_no_device_file(void **state)
{
	struct tun_device_params params = {.name = "ice0", .queues = 1};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/icetun-test-XXXXXX";
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/tun", dir);
	check_refused(sun.sun_path, &params, -ENODEV, "load the module with 'modprobe tun'");
	assert_non_null(strstr(why, sun.sun_path));
	check_refused("/dev/null/tun", &params, -ENODEV, "there is no /dev/null/tun");
	check_refused("/dev/null", &params, -ENODEV, "is not the TUN driver");
	check_refused(dir, &params, -EISDIR, "cannot open");

	/* To open a socket gives ENXIO, as a device file without a driver does. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	check_refused(sun.sun_path, &params, -ENODEV, "no driver");
	close(fd);
	unlink(sun.sun_path);
	rmdir(dir);
}

static int open_as_nobody(void *arg)
{
	struct tun_device_params params = {.name = "ice0", .queues = 1};
	const char *path = arg;
	struct tun_device *dev;

	if (!netns_become_nobody())
		return 1;
	if (tun_device_open_at(path, &params, &dev, why, sizeof(why)) != -EPERM)
		return 2;
	return strstr(why, "no permission to") && strstr(why, "run as root") ? 0 : 3;
}

static void test_no_permission(void **state)
{
	char tun_path[] = "/dev/net/tun", path[] = "/tmp/icetun-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(netns_in_child(open_as_nobody, tun_path), 0);
	/* The file of mkstemp() is for root alone, as /dev/net/tun may be or not. */
	assert_int_equal(netns_in_child(open_as_nobody, path), 0);
	unlink(path);
}

static int open_with_few_fds(void *arg)
{
	struct tun_device_params params = {.name = "ice0", .queues = 4};
	struct tun_device *dev;
	struct rlimit limit;
	int next = dup(0);
	rlim_t all;

	(void)arg;
	close(next);
	if (next < 0 || getrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	/* Room for two of the four. */
	all = limit.rlim_cur;
	limit.rlim_cur = (rlim_t)next + 2;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 2;
	if (tun_device_open(&params, &dev, why, sizeof(why)) != -EMFILE)
		return 3;
	/* if_nametoindex() needs a descriptor, too. */
	limit.rlim_cur = all;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 4;
	return if_nametoindex("ice0") ? 5 : 0;
}

/* Some queues could be opened and one not: none stays. */
static void test_half_open(void **state)
{
	(void)state;
	assert_int_equal(netns_in_child(open_with_few_fds, NULL), 0);
}

/* Brings @dev up as 10.7.0.1/16 and sends one datagram into the overlay. */
static void send_into(struct tun_device *dev)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct tun_prefix addr = netns_prefix("10.7.0.1/16");
	struct tun_prefix dst = netns_prefix("10.7.0.0/16");
	int ifindex = tun_device_ifindex(dev);
	struct tun_netcfg *nc;
	int fd;

	ok(tun_netcfg_create(&nc, why, sizeof(why)));
	ok(tun_netcfg_set_no_autoconf(nc, ifindex, why, sizeof(why)));
	ok(tun_netcfg_set_up(nc, ifindex, true, why, sizeof(why)));
	ok(tun_netcfg_add_address(nc, ifindex, &addr, why, sizeof(why)));
	ok(tun_netcfg_add_route(nc, ifindex, &dst, why, sizeof(why)));
	tun_netcfg_destroy(nc);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, "10.7.0.2", &to.sin_addr);
	assert_int_equal(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	close(fd);
}

/* A packet comes out as bare IP, or with the virtio-net header of 10 bytes in front. */
static void check_packet(bool vnet_hdr)
{
	struct tun_device *dev = open_named("ice0", 1, vnet_hdr);
	size_t skip = vnet_hdr ? 10 : 0;
	uint8_t packet[2048];
	ssize_t n;

	assert_int_equal(tun_device_offloads(dev).vnet_hdr, vnet_hdr);
	send_into(dev);
	do {
		n = read(tun_device_fd(dev, 0), packet, sizeof(packet));
		assert_true(n > (ssize_t)skip);
	} while (packet[skip] >> 4 != 4);
	assert_int_equal(n, skip + 20 + 8 + 5);
	assert_memory_equal(packet + skip + 12, "\x0a\x07\x00\x01\x0a\x07\x00\x02", 8);
	assert_memory_equal(packet + skip + 28, "hello", 5);
	assert_int_equal(write(tun_device_fd(dev, 0), packet, (size_t)n), n);
	tun_device_close(dev);
}

static void test_packet(void **state)
{
	(void)state;
	check_packet(false);
	check_packet(true);
}

/* The kernel leaves a checksum to us, and says where it goes. */
static void test_partial_checksum(void **state)
{
	struct tun_device_params params = {.name = "ice0",
					   .queues = 2,
					   .want_vnet_hdr = true,
					   .want_tso = true,
					   .want_uso = true};
	uint8_t buf[2048];
	struct tun_device *dev;
	struct tun_vnet v;
	ssize_t n;

	(void)state;
	ok(tun_device_open(&params, &dev, why, sizeof(why)));
	assert_true(tun_device_offloads(dev).tso);
	send_into(dev);
	do {
		n = read(tun_device_fd(dev, 0), buf, sizeof(buf));
		if (n < 0)
			n = read(tun_device_fd(dev, 1), buf, sizeof(buf));
		assert_true(n > TUN_VNET_BYTES);
	} while (buf[TUN_VNET_BYTES] >> 4 != 4);
	assert_int_equal(tun_vnet_read(buf, &v), 0);
	assert_true(v.is_partial);
	assert_int_equal(v.csum_start, 20);
	assert_int_equal(v.csum_offset, 6);
	assert_int_equal(v.gso, TUN_GSO_NONE);
	assert_int_equal(write(tun_device_fd(dev, 1), buf, (size_t)n), n);
	tun_device_close(dev);
}

static void test_open_close_many(void **state)
{
	unsigned int fds = netns_count_fds();

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct tun_device *dev = open_named("ice0", i % 2 ? 1 : 3, i % 3);

		send_into(dev);
		assert_true(netns_count_fds() > fds);
		tun_device_close(dev);
		assert_int_equal(netns_count_fds(), fds);
	}
	assert_false(netns_shows("addr show", "ice0"));
	assert_false(netns_shows("route show table all", "10.7."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_numbered_name),
		cmocka_unit_test(test_bad_params),
		cmocka_unit_test(test_queues),
		cmocka_unit_test(test_busy_other_process),
		cmocka_unit_test(test_busy_here),
		cmocka_unit_test(test_no_device_file),
		cmocka_unit_test(test_no_permission),
		cmocka_unit_test(test_half_open),
		cmocka_unit_test(test_packet),
		cmocka_unit_test(test_partial_checksum),
		cmocka_unit_test(test_open_close_many),
	};

	if (!netns_enter_with_tun())
		return NETNS_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
