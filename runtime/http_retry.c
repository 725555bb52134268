#include "runtime/http_retry.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

/* "12" or "1.5" in units of unit_ns, nothing behind it. */
static bool parse_number(const char *text, double unit_ns, int64_t *ret_ns)
{
        size_t digits = strspn(text, "0123456789.");
        char *end;
        if (digits == 0 || text[digits] != 0)
                return false;
        double value = strtod(text, &end);
        if (*end != 0)
                return false;
        double ns = value * unit_ns;
        *ret_ns = ns < (double)SCOPE_HTTP_RETRY_NS_MAX ? (int64_t)ns : SCOPE_HTTP_RETRY_NS_MAX;
        return true;
}

static int64_t parse_date(const char *text)
{
        time_t date = curl_getdate(text, NULL);
        return date > 0 ? (int64_t)date : 0;
}

/* True when the line is `name`: then its value, without blanks around it, is in ret_value. */
static bool header_is(const char *line, size_t count, const char *name, char ret_value[64])
{
        size_t name_count = strlen(name);
        if (count <= name_count || strncasecmp(line, name, name_count) != 0 ||
                line[name_count] != ':')
                return false;
        const char *begin = line + name_count + 1, *end = line + count;
        while (begin < end && strchr(" \t", *begin) != NULL)
                begin++;
        while (end > begin && strchr(" \t\r\n", end[-1]) != NULL)
                end--;
        if (end - begin >= 64)
                return false;
        memcpy(ret_value, begin, (size_t)(end - begin));
        ret_value[end - begin] = 0;
        return true;
}

void scope_http_retry_header(struct scope_http_retry *retry, const char *line, size_t count)
{
        char value[64];
        int64_t ns;
        if (count > 5 && strncmp(line, "HTTP/", 5) == 0)
                *retry = (struct scope_http_retry){ 0 };
        else if (header_is(line, count, "retry-after-ms", value)) {
                if (parse_number(value, 1e6, &ns))
                        retry->after_ms_ns = ns + 1;
        } else if (header_is(line, count, "retry-after", value)) {
                if (parse_number(value, 1e9, &ns))
                        retry->after_ns = ns + 1;
                else
                        retry->until_s = parse_date(value);
        } else if (header_is(line, count, "date", value))
                retry->date_s = parse_date(value);
}

int64_t scope_http_retry_ns(const struct scope_http_retry *retry, time_t now)
{
        if (retry->after_ms_ns > 0)
                return retry->after_ms_ns - 1;
        if (retry->after_ns > 0)
                return retry->after_ns - 1;
        if (retry->until_s == 0)
                return -1;
        int64_t wait_s = retry->until_s - (retry->date_s > 0 ? retry->date_s : (int64_t)now);
        if (wait_s < 0)
                return 0;
        return wait_s < SCOPE_HTTP_RETRY_NS_MAX / 1000000000 ? wait_s * 1000000000
                                                             : SCOPE_HTTP_RETRY_NS_MAX;
}
