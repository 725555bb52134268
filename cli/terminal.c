#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool is_set(const char *name)
{
        const char *value = getenv(name);
        return value != NULL && value[0] != 0;
}

/* The first of the three that is set decides, as in POSIX. */
static bool speaks_utf8(void)
{
        static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
        for (int i = 0; i < 3; i++) {
                if (is_set(names[i])) {
                        const char *value = getenv(names[i]);
                        return strcasestr(value, "utf-8") != NULL ||
                                strcasestr(value, "utf8") != NULL;
                }
        }
        return false;
}

static unsigned find_width(int fd)
{
        struct winsize size;
        const char *columns = getenv("COLUMNS");
        long width = columns != NULL ? strtol(columns, NULL, 10) : 0;
        if (width <= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0)
                width = size.ws_col;
        return width >= 40 && width <= 400 ? (unsigned)width : 80;
}

void scope_terminal_init(struct scope_terminal *terminal, FILE *out)
{
        const char *term = getenv("TERM");
        bool dumb = term == NULL || strcmp(term, "dumb") == 0;
        int fd = fileno(out);
        *terminal = (struct scope_terminal){ .out = out };
        terminal->tty = fd >= 0 && isatty(fd) && !dumb;
        terminal->style.color = terminal->tty && !is_set("NO_COLOR");
        terminal->style.unicode = speaks_utf8();
        terminal->style.width = find_width(fd);
}

/* Output to a person is best effort: a closed terminal must not stop a run. */
static void write_out(struct scope_terminal *terminal, const char *string)
{
        (void)fputs(string, terminal->out);
}

static bool shows_live(const struct scope_terminal *terminal)
{
        return terminal->tty && terminal->live.count != 0;
}

void scope_terminal_show(struct scope_terminal *terminal, const char *lines)
{
        if (shows_live(terminal))
                write_out(terminal, "\r\x1b[K");
        write_out(terminal, lines);
        if (shows_live(terminal))
                write_out(terminal, terminal->live.bytes);
        (void)fflush(terminal->out);
}

void scope_terminal_live(struct scope_terminal *terminal, const char *line)
{
        if (!terminal->tty)
                return;
        if (terminal->live.count != 0 && strcmp(terminal->live.bytes, line) == 0)
                return; /* nothing new: no flicker */
        scope_text_clear(&terminal->live);
        scope_text_string(&terminal->live, line);
        write_out(terminal, "\r\x1b[K");
        write_out(terminal, line);
        (void)fflush(terminal->out);
}

void scope_terminal_fini(struct scope_terminal *terminal)
{
        if (terminal->out != NULL && shows_live(terminal)) {
                write_out(terminal, "\r\x1b[K");
                (void)fflush(terminal->out);
        }
        scope_text_fini(&terminal->live);
        *terminal = (struct scope_terminal){ 0 };
}
