// messages_caf.cc - the ping-pong of messages.c with CAF's event-based actors.
#include "bench/messages_caf.h"

#include <chrono>
#include <cstdint>
#include <cstdio>

#include <caf/all.hpp>

namespace {

using ping_atom = caf::atom_constant<caf::atom("ping")>;
using pong_atom = caf::atom_constant<caf::atom("pong")>;

struct score {
        double seconds = 0;
};

struct ping_state {
        std::uint64_t left = 0;
        std::chrono::steady_clock::time_point begin;
};

caf::behavior pong(caf::event_based_actor *self)
{
        // Returned values would be replies to requests; a plain send is what is compared.
        return { [self](ping_atom, std::uint64_t value) {
                self->send(caf::actor_cast<caf::actor>(self->current_sender()), pong_atom::value,
                        value);
        } };
}

caf::behavior ping(caf::stateful_actor<ping_state> *self, caf::actor other, std::uint64_t rounds,
        score *out)
{
        self->state.left = rounds;
        self->state.begin = std::chrono::steady_clock::now();
        self->send(other, ping_atom::value, std::uint64_t{ 0 });
        return { [self, other, out](pong_atom, std::uint64_t value) {
                if (--self->state.left != 0) {
                        self->send(other, ping_atom::value, value + 1);
                        return;
                }
                std::chrono::duration<double> spent =
                        std::chrono::steady_clock::now() - self->state.begin;
                out->seconds = spent.count();
                self->send_exit(other, caf::exit_reason::user_shutdown);
                self->quit();
        } };
}

} // namespace

const char *scope_bench_caf_version(void)
{
        static char text[32];
        std::snprintf(text, sizeof text, "%d.%d.%d", CAF_VERSION / 10000, CAF_VERSION / 100 % 100,
                CAF_VERSION % 100);
        return text;
}

double scope_bench_caf_round_trip(uint64_t rounds)
{
        score out;
        caf::actor_system_config config;
        {
                caf::actor_system system{ config };
                caf::actor other = system.spawn(pong);
                system.spawn(ping, other, rounds, &out);
                system.await_all_actors_done();
        }
        return 1e9 * out.seconds / static_cast<double>(rounds);
}
