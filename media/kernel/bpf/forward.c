// Forwards the voice packets of bridged calls where they enter the machine. What isn't plain voice
// from the phone that is expected goes up to the sockets as if this program weren't there.
//
// Compiled by go generate (see kernel.go); the objects are committed.

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL"; // what bpf_fib_lookup asks for

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define IPPROTO_UDP 17
#define AF_INET 2
#define AF_INET6 10

#ifndef TCX_NEXT // headers older than Linux 6.6
#define TCX_NEXT -1
#define TCX_DROP 2
#endif

#define MAX_PORTS 65536
#define MAX_INTERFACES 256
#define NO_TYPE 0xFF

// RFC 3550 appendix A.1, as in media's reception.
#define MAX_DROPOUT 3000
#define MAX_MISORDER 100
#define WINDOW 64

// RFC 3611 section 4.7.2, Gmin.
#define MIN_GAP 16

// As in media's sender: how far a timestamp may run from our clock.
#define MAX_BEHIND 8000
#define MAX_AHEAD 3200
#define NS_PER_UNIT 125000

// For so long nobody but the source that was heard last is believed; media's relatch.
#define RELATCH_NS 1000000000ULL

// apart keeps the compiler from making one of the ends of two ways: the sum of a pointer and an offset
// that depends on the way would need CAP_PERFMON, as a loop over packet pointers would.
#define apart(way) asm volatile("" : : "i"(way) : "memory")

struct eth {
	__u8 to[6], from[6];
	__be16 type;
};

struct ip4 {
	__u8 version_ihl, tos;
	__be16 length, id, fragment;
	__u8 ttl, protocol;
	__sum16 check;
	__be32 from, to;
};

struct ip6 {
	__be32 version_class_flow;
	__be16 length;
	__u8 next, hops;
	__be32 from[4], to[4];
};

struct udp {
	__be16 from, to, length;
	__sum16 check;
};

struct rtp {
	__u8 flags, type;
	__be16 seq;
	__be32 ts, ssrc;
};

_Static_assert(sizeof(struct eth) == 14 && sizeof(struct ip4) == 20 && sizeof(struct ip6) == 40 &&
	       sizeof(struct udp) == 8 && sizeof(struct rtp) == 12, "headers as they are on the wire");

// forward is what is done with the packets of one local port. Userland writes it.
struct forward {
	__be32 local[4], source[4], destination[4]; // IPv4 in the first
	__be16 local_port, source_port, destination_port, out_port;
	__u32 ssrc_in, ssrc_out;
	__u32 ts_offset; // ours minus theirs
	__u32 origin;    // our timestamp at the epoch
	__u16 seq_offset;
	__u16 size, most; // of a packet's sound; size 0: any
	__u8 voice_in, voice_out, noise_in, noise_out; // payload types; NO_TYPE: none
	__u8 family;  // AF_INET, AF_INET6
	__u8 on_host; // both phones are on this machine: what comes by loopback stays there
	__u8 open;    // 0: nothing is forwarded
	__u8 pad[3];
};

// state is what the packets of a port have come to. Userland sets it before the forward is opened.
struct state {
	struct bpf_spin_lock lock;
	__u32 highest, base, received; // extended numbers, as in media's reception
	__u32 transit, jitter;
	__u32 next_ts;
	__u16 next_seq, floor; // of what is sent
	__u8 timed, pad[7];
	__u64 window;
	__u64 packets, octets, late, duplicates, stray;
	__u64 out_packets, out_octets;
	__u64 seen; // CLOCK_MONOTONIC, the last packet of the source
	// How losses cluster, as in media's bursts.
	__u32 since, lost, heard, runs;
	__u32 bursts, burst_lost, burst_heard;
	__u32 gap_lost, gap_heard;
	__u32 pad2;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct forward);
} forwards SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct state);
} states SEC(".maps");

// seen is states' field of that name once more, where userland reads it without a system call.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

// interfaces are those that we are attached to, and may send from.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_INTERFACES);
	__type(key, __u32);
	__type(value, __u8);
} interfaces SEC(".maps");

volatile const __u32 first_port; // port of the maps' entry 0
volatile const __u32 last_port;
volatile const __u32 loopback; // index of the interface
volatile const __u64 epoch;    // when timestamps are at forward.origin, CLOCK_MONOTONIC

enum verdict { UP, DROP, SEND };

struct packet {
	struct eth *eth;
	void *ip;
	struct udp *udp;
	struct rtp *rtp;
	__u32 octets; // of sound
	__u16 seq;
	__u32 ts;
};

// Functions with is6 are compiled once for each family: the verifier follows one kind of pointer.

static __always_inline int same(const __be32 *a, const __be32 *b, int is6)
{
	if (!is6)
		return a[0] == b[0];
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

// words sums up n of them, at most 5, or 8.
static __always_inline __u64 words(const __be32 *w, int n)
{
	__u64 sum = (__u64)w[0];

	if (n > 1)
		sum += w[1];
	if (n > 2)
		sum += w[2];
	if (n > 3)
		sum += w[3];
	if (n > 4)
		sum += w[4];
	if (n > 5)
		sum += (__u64)w[5] + w[6] + w[7];
	return sum;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return sum;
}

// addresses is the sum over those of the IP header.
static __always_inline __u64 addresses(const struct packet *p, int is6)
{
	return is6 ? words(((struct ip6 *)p->ip)->from, 8) : words(&((struct ip4 *)p->ip)->from, 2);
}

static __always_inline __be32 *source(const struct packet *p, int is6)
{
	return is6 ? ((struct ip6 *)p->ip)->from : &((struct ip4 *)p->ip)->from;
}

static __always_inline __be32 *destination(const struct packet *p, int is6)
{
	return is6 ? ((struct ip6 *)p->ip)->to : &((struct ip4 *)p->ip)->to;
}

// pseudo is what stands in the checksum's place while the packet hasn't left the machine that made it.
static __always_inline __u16 pseudo(const struct packet *p, __u64 addrs)
{
	return fold(addrs + bpf_htons(IPPROTO_UDP) + p->udp->length);
}

// covered is the sum over all that is rewritten and that the UDP checksum covers.
static __always_inline __u64 covered(const struct packet *p, __u64 addrs)
{
	return addrs + words((__be32 *)p->udp, 1) + words((__be32 *)p->rtp, 3);
}

// read finds the headers. Options, extensions, fragments and lengths that don't agree fail.
static __always_inline int read(struct packet *p, struct eth *eth, void *end, int is6)
{
	struct ip4 *ip4 = (void *)(eth + 1);
	struct ip6 *ip6 = (void *)(eth + 1);
	__u16 length;

	p->eth = eth;
	p->ip = eth + 1;
	p->udp = is6 ? (void *)(ip6 + 1) : (void *)(ip4 + 1);
	p->rtp = (void *)(p->udp + 1);
	if ((void *)(p->rtp + 1) > end)
		return 0;
	if (is6) {
		if (ip6->next != IPPROTO_UDP || ip6->hops <= 1)
			return 0;
		length = bpf_ntohs(ip6->length);
	} else {
		if (ip4->version_ihl != 0x45 || ip4->protocol != IPPROTO_UDP || ip4->ttl <= 1)
			return 0;
		if (ip4->fragment & bpf_htons(0x3FFF))
			return 0;
		length = bpf_ntohs(ip4->length) - sizeof(*ip4);
	}
	if (bpf_ntohs(p->udp->length) != length || length <= sizeof(*p->udp) + sizeof(*p->rtp))
		return 0;
	p->octets = length - sizeof(*p->udp) - sizeof(*p->rtp);
	return 1;
}

// cluster counts a packet that came in order behind so many lost ones; the lock is held. It is media's bursts.add.
static __always_inline void cluster(struct state *s, __u32 gap)
{
	if (gap && (s->since >= MIN_GAP || !s->lost)) { // a new group; the one before is settled
		s->bursts += s->lost > 1;
		s->burst_lost += s->lost > 1 ? s->lost : 0;
		s->burst_heard += s->lost > 1 ? s->heard : 0;
		s->gap_lost += s->lost > 1 ? 0 : s->lost;
		s->gap_heard += s->since;
		s->lost = s->heard = 0;
	} else if (gap) {
		s->heard += s->since;
	}
	if (gap) {
		s->lost += gap;
		s->runs++;
		s->since = 0;
	}
	s->since++;
}

// LOST: a packet's number is too far off to tell what it is.
enum place { NEXT, LATE, TWICE, LOST };

// track enters the packet's number; the lock is held. It is media's reception.track.
static __always_inline enum place track(struct state *s, __u16 seq)
{
	__u16 ahead = seq - (__u16)s->highest, behind = -ahead;
	__u64 bit;

	if (ahead == 0)
		return TWICE;
	if (ahead < MAX_DROPOUT) {
		s->highest += ahead;
		s->window = ahead < WINDOW ? s->window << (ahead & (WINDOW - 1)) | 1 : 1;
		s->received++;
		cluster(s, ahead - 1);
		return NEXT;
	}
	if (behind > MAX_MISORDER)
		return LOST;
	bit = 1ULL << (behind & (WINDOW - 1));
	if (behind >= WINDOW || behind > s->highest - s->base || s->window & bit)
		return TWICE;
	s->window |= bit;
	s->received++;
	return LATE;
}

// settle judges the packet and keeps the books; the lock is held. It is what media's accept, count
// and relay do together.
static __always_inline enum verdict settle(const struct forward *f, struct state *s, const struct packet *p,
					   int voice, __u64 now)
{
	__u32 units = (now - epoch) / NS_PER_UNIT;
	__u32 ts = p->ts + f->ts_offset;
	__u16 seq = p->seq + f->seq_offset;
	__s32 ahead = ts - f->origin - units, step;
	enum place place;

	if (!f->open)
		return UP;
	if (voice && (ahead > MAX_AHEAD || ahead < -MAX_BEHIND))
		return UP;
	place = track(s, p->seq);
	if (place == LOST)
		return UP;
	s->packets++;
	s->octets += p->octets;
	s->seen = now;
	s->duplicates += place == TWICE;
	s->late += place == LATE;
	if (place == TWICE)
		return DROP;
	if (place == NEXT && voice) { // appendix A.8
		step = units - p->ts - s->transit;
		s->transit = units - p->ts;
		if (s->timed)
			s->jitter += (step < 0 ? -step : step) - ((s->jitter + 8) >> 4);
		s->timed = 1;
	}
	if ((__s16)(seq - s->floor) < 0)
		return DROP;
	if ((__s16)(seq - s->next_seq) >= 0)
		s->next_seq = seq + 1;
	if ((__u16)(s->next_seq - s->floor) > 2 * MAX_MISORDER)
		s->floor = s->next_seq - MAX_MISORDER;
	if (voice)
		ts += p->octets;
	if ((__s32)(ts - s->next_ts) > 0)
		s->next_ts = ts;
	s->out_packets++;
	s->out_octets += p->octets;
	return SEND;
}

// route finds where the packet leaves and gives it the MAC addresses for the way; ours stay ours.
// Packets of this machine's own stay where they are, and IP delivers them.
static __always_inline int route(void *ctx, const struct forward *f, const struct packet *p, __u32 from,
				 struct bpf_fib_lookup *fib, int is6)
{
	__u32 out;

	fib->ifindex = from;
	if (from == loopback)
		return f->on_host;
	fib->family = f->family;
	fib->l4_protocol = IPPROTO_UDP;
	fib->sport = f->out_port;
	fib->dport = f->destination_port;
	if (is6) {
		fib->tot_len = bpf_ntohs(((struct ip6 *)p->ip)->length) + sizeof(struct ip6);
		__builtin_memcpy(fib->ipv6_src, f->local, 16);
		__builtin_memcpy(fib->ipv6_dst, f->destination, 16);
	} else {
		fib->tot_len = bpf_ntohs(((struct ip4 *)p->ip)->length);
		fib->ipv4_src = f->local[0];
		fib->ipv4_dst = f->destination[0];
	}
	if (bpf_fib_lookup(ctx, fib, sizeof(*fib), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return 0;
	out = fib->ifindex;
	return bpf_map_lookup_elem(&interfaces, &out) != 0;
}

// rewrite makes the packet ours; mac says that it needs the addresses in fib.
static __always_inline void rewrite(const struct forward *f, struct packet *p, int voice, int mac,
				    const struct bpf_fib_lookup *fib, int is6)
{
	struct ip4 *ip4 = p->ip;
	struct ip6 *ip6 = p->ip;
	__u64 addrs = addresses(p, is6);
	__u64 before = covered(p, addrs);
	int unfinished = p->udp->check == pseudo(p, addrs);
	__u32 voice_out = f->voice_out, noise_out = f->noise_out;

	asm volatile("" : "+r"(voice_out), "+r"(noise_out)); // see apart
	if (mac) {
		__builtin_memcpy(p->eth->to, fib->dmac, 6);
		__builtin_memcpy(p->eth->from, fib->smac, 6);
	}
	if (is6) {
		__builtin_memcpy(ip6->from, f->local, 16);
		__builtin_memcpy(ip6->to, f->destination, 16);
		ip6->hops--;
	} else {
		ip4->from = f->local[0];
		ip4->to = f->destination[0];
		ip4->ttl--;
		ip4->check = 0;
		ip4->check = ~fold(words((__be32 *)ip4, 5));
	}
	p->udp->from = f->out_port;
	p->udp->to = f->destination_port;
	p->rtp->type = (p->rtp->type & 0x80) | (voice ? voice_out : noise_out);
	p->rtp->seq = bpf_htons(p->seq + f->seq_offset);
	p->rtp->ts = bpf_htonl(p->ts + f->ts_offset);
	p->rtp->ssrc = bpf_htonl(f->ssrc_out);

	addrs = addresses(p, is6);
	if (p->udp->check == 0)
		return; // none; in IPv6 such a packet goes up
	if (unfinished) {
		p->udp->check = pseudo(p, addrs);
		return;
	}
	before = (__u16)~fold(before);
	p->udp->check = ~fold((__u16)~p->udp->check + before + covered(p, addrs));
	if (p->udp->check == 0)
		p->udp->check = 0xFFFF;
}

// handle decides on a packet that came in by interface from, and rewrites it if it is to be sent by
// interface *out.
static __always_inline enum verdict handle(void *ctx, void *data, void *end, __u32 from, __u32 *out, int is6)
{
	struct packet p = {};
	struct bpf_fib_lookup fib = {};
	struct forward *f;
	struct state *s;
	enum verdict verdict;
	__u64 now, *heard;
	__u32 key;
	__u8 type;
	int voice;

	if (!read(&p, data, end, is6))
		return UP;
	key = bpf_ntohs(p.udp->to);
	if (key < first_port || key > last_port)
		return UP;
	key -= first_port;
	f = bpf_map_lookup_elem(&forwards, &key);
	if (!f || !f->open || f->local_port != p.udp->to || f->family != (is6 ? AF_INET6 : AF_INET))
		return UP;
	if (!same(f->local, destination(&p, is6), is6))
		return UP;
	s = bpf_map_lookup_elem(&states, &key);
	heard = bpf_map_lookup_elem(&seen, &key);
	if (!s || !heard)
		return UP;
	now = bpf_ktime_get_ns();
	if (f->source_port != p.udp->from || !same(f->source, source(&p, is6), is6)) {
		if (now - *heard >= RELATCH_NS)
			return UP; // the phone may have moved
		bpf_spin_lock(&s->lock);
		verdict = f->open ? DROP : UP;
		s->stray += verdict == DROP;
		apart(1);
		bpf_spin_unlock(&s->lock);
		return verdict;
	}
	type = p.rtp->type & 0x7F;
	voice = type == f->voice_in;
	if (p.rtp->flags != 0x80 || p.rtp->ssrc != bpf_htonl(f->ssrc_in) || !(voice || type == f->noise_in))
		return UP;
	if (p.octets > f->most || (voice && f->size && p.octets != f->size))
		return UP;
	if (is6 && p.udp->check == 0)
		return UP;
	// Made on this machine, in a container: who fills the checksum in depends on the way it leaves.
	if (from != loopback && p.udp->check == pseudo(&p, addresses(&p, is6)))
		return UP;
	if (!route(ctx, f, &p, from, &fib, is6))
		return UP;
	p.seq = bpf_ntohs(p.rtp->seq);
	p.ts = bpf_ntohl(p.rtp->ts);
	bpf_spin_lock(&s->lock);
	verdict = settle(f, s, &p, voice, now);
	apart(2);
	bpf_spin_unlock(&s->lock);
	if (verdict != UP)
		*heard = now;
	if (verdict != SEND)
		return verdict;
	rewrite(f, &p, voice, from != loopback, &fib, is6);
	*out = fib.ifindex;
	// What came by loopback is delivered by its new addresses where it goes up: another way through
	// loopback would cost more than the program.
	return from == loopback ? UP : SEND;
}

static __always_inline enum verdict either(void *ctx, void *data, void *end, __u32 from, __u32 *out)
{
	struct eth *eth = data;

	if ((void *)(eth + 1) > end)
		return UP;
	if (eth->type == bpf_htons(ETH_P_IP))
		return handle(ctx, data, end, from, out, 0);
	if (eth->type == bpf_htons(ETH_P_IPV6))
		return handle(ctx, data, end, from, out, 1);
	return UP;
}

SEC("xdp")
int forward_xdp(struct xdp_md *ctx)
{
	__u32 out = 0;

	switch (either(ctx, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx->ingress_ifindex, &out)) {
	case DROP:
		return XDP_DROP;
	case SEND:
		return out == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(out, 0);
	default:
		return XDP_PASS;
	}
}

SEC("tcx/ingress")
int forward_tcx(struct __sk_buff *ctx)
{
	const __u32 headers = sizeof(struct eth) + sizeof(struct ip6) + sizeof(struct udp) + sizeof(struct rtp);
	__u32 out = 0;

	if (ctx->vlan_present || ctx->gso_size)
		return TCX_NEXT;
	if ((long)ctx->data + headers > (long)ctx->data_end && ctx->len >= headers)
		bpf_skb_pull_data(ctx, headers);
	switch (either(ctx, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx->ifindex, &out)) {
	case DROP:
		return TCX_DROP;
	case SEND:
		return bpf_redirect(out, 0);
	default:
		return TCX_NEXT;
	}
}
