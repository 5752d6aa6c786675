/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Generic netlink without a library: messages that no library would write, and requests
 * that allocate no memory of the process, for tests in which an allocation must fail in
 * the kernel only.
 */
#ifndef GENL_H
#define GENL_H

#include <errno.h>
#include <linux/genetlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GENL_ROOM	(1 << 16)

/* Messages one behind the other; the last one is being written, from @at on. */
struct genl_buffer {
	uint32_t len, at;
	unsigned char b[GENL_ROOM] __attribute__((aligned(8)));
};

static inline struct nlmsghdr *genl_header(struct genl_buffer *m)
{
	return (struct nlmsghdr *)(m->b + m->at);
}

/* The attributes end at a multiple of 4 bytes, the length of the last one need not. */
static inline void genl_grow(struct genl_buffer *m, uint32_t bytes)
{
	memset(m->b + m->len, 0, NLMSG_ALIGN(bytes));
	m->len += NLMSG_ALIGN(bytes);
	genl_header(m)->nlmsg_len = m->len - m->at;
}

static inline void genl_begin(struct genl_buffer *m, int family, int cmd, int flags, uint32_t seq)
{
	struct genlmsghdr *g;

	m->at = m->len;
	m->len += NLMSG_HDRLEN;
	memset(m->b + m->at, 0, NLMSG_HDRLEN);
	*genl_header(m) = (struct nlmsghdr){
		.nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = seq,
	};
	genl_grow(m, GENL_HDRLEN);
	g = (struct genlmsghdr *)(m->b + m->at + NLMSG_HDRLEN);
	*g = (struct genlmsghdr){ .cmd = cmd, .version = 1 };
}

static inline struct nlattr *genl_put(struct genl_buffer *m, int type, const void *data, uint32_t len)
{
	struct nlattr *a = (struct nlattr *)(m->b + m->len);

	genl_grow(m, NLA_HDRLEN + len);
	*a = (struct nlattr){ .nla_len = NLA_HDRLEN + len, .nla_type = type };
	if (len)
		memcpy(a + 1, data, len);
	return a;
}

static inline void genl_put_string(struct genl_buffer *m, int type, const char *s)
{
	genl_put(m, type, s, strlen(s) + 1);
}

static inline void genl_put_u32(struct genl_buffer *m, int type, uint32_t n)
{
	genl_put(m, type, &n, sizeof(n));
}

static inline void genl_put_u64(struct genl_buffer *m, int type, uint64_t n)
{
	genl_put(m, type, &n, sizeof(n));
}

/* The first attribute of @type in @len bytes, or NULL. */
static inline const struct nlattr *genl_find(const void *attrs, size_t len, int type)
{
	const unsigned char *at = attrs, *end = at + len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)at;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
			break;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		at += NLA_ALIGN(a->nla_len);
	}
	return NULL;
}

static inline const void *genl_attrs(const struct nlmsghdr *h)
{
	return (const char *)h + NLMSG_HDRLEN + GENL_HDRLEN;
}

static inline size_t genl_attrs_len(const struct nlmsghdr *h)
{
	return h->nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN ? 0 :
	       h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
}

/* A connected socket of generic netlink, or -errno. */
static inline int genl_socket(void)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), on = 1;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel))) {
		close(fd);
		return -errno;
	}
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return fd;
}

/*
 * Send the messages, which must be one, and wait for its acknowledgment or the end of its
 * dump. Each message of the reply is given to @fn. Returns 0 or -errno; -ENOBUFS also if
 * the kernel had no memory to acknowledge what it did.
 */
static inline int genl_ask(int fd, struct genl_buffer *m,
			   void (*fn)(const struct nlmsghdr *h, void *arg), void *arg)
{
	static unsigned char reply[GENL_ROOM] __attribute__((aligned(8)));
	const struct nlmsghdr *h;
	ssize_t n;

	if (send(fd, m->b, m->len, 0) < 0)
		return -errno;
	for (;;) {
		n = recv(fd, reply, sizeof(reply), 0);
		if (n < 0)
			return -errno;
		for (h = (void *)reply; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != genl_header(m)->nlmsg_seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
				return *(const int *)NLMSG_DATA(h);
			if (fn)
				fn(h, arg);
		}
	}
}

static inline void genl_note_family(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *a = genl_find(genl_attrs(h), genl_attrs_len(h), CTRL_ATTR_FAMILY_ID);

	if (a)
		*(int *)arg = *(const uint16_t *)(a + 1);
}

/* The number of a family, or -errno. */
static inline int genl_family(int fd, const char *name)
{
	static struct genl_buffer m;
	int family = -ENOENT, err;

	m.len = 0;
	genl_begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK, 1);
	genl_put_string(&m, CTRL_ATTR_FAMILY_NAME, name);
	err = genl_ask(fd, &m, genl_note_family, &family);
	return err ? err : family;
}

#endif /* GENL_H */
