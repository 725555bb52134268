#include "cli/config_toml.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

namespace
{

constexpr size_t values_max = 4096, path_max = 512;

/* One value under construction: strings are offsets, for the pool moves while it grows. */
struct entry {
        scope_toml_value value{};
        size_t path_at = 0, text_at = 0;
};

struct too_big {
        const char *what;
};

class flattener
{
      public:
        std::vector<entry> entries;
        std::string pool;

        void table(const std::string &path, const toml::table &from)
        {
                for (auto &&[key, node] : from) {
                        std::string below = path.empty() ? part(key) : path + "." + part(key);
                        add(below, node, key.source().begin);
                }
        }

      private:
        static std::string part(const toml::key &key)
        {
                std::string word(key.str());
                auto odd = [](char c) {
                        return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                (c >= '0' && c <= '9') || c == '_' || c == '-');
                };
                if (!word.empty() && std::none_of(word.begin(), word.end(), odd))
                        return word;
                std::replace_if(word.begin(), word.end(), odd, '?');
                return "\"" + word + "\"";
        }

        size_t keep(std::string_view text)
        {
                size_t at = pool.size();
                pool.append(text);
                pool.push_back('\0');
                return at;
        }

        void add(const std::string &path, const toml::node &node, toml::source_position key)
        {
                if (entries.size() >= values_max)
                        throw too_big{ "more than 4096 values" };
                if (path.size() > path_max)
                        throw too_big{ "a key longer than 512 bytes" };
                entry one;
                toml::source_position at = node.source().begin;
                if (!key)
                        key = at;
                if (!at)
                        at = key;
                one.value.line = at.line;
                one.value.column = at.column;
                one.value.key_line = key.line;
                one.value.key_column = key.column;
                one.path_at = keep(path);
                scalar(one, node);
                entries.push_back(one);
                if (const toml::table *inner = node.as_table())
                        table(path, *inner);
                else if (one.value.kind == SCOPE_TOML_LIST)
                        list(path, *node.as_array());
        }

        void list(const std::string &path, const toml::array &from)
        {
                for (size_t i = 0; i < from.size(); i++)
                        add(path + "[" + std::to_string(i) + "]", from[i],
                                from[i].source().begin);
        }

        void scalar(entry &one, const toml::node &node)
        {
                scope_toml_value &value = one.value;
                if (const auto *text = node.as_string()) {
                        value.kind = SCOPE_TOML_TEXT;
                        value.text_count = text->get().size();
                        one.text_at = keep(text->get());
                } else if (const auto *integer = node.as_integer()) {
                        value.kind = SCOPE_TOML_INT;
                        value.integer = integer->get();
                        value.real = static_cast<double>(value.integer);
                } else if (const auto *real = node.as_floating_point()) {
                        value.kind = SCOPE_TOML_FLOAT;
                        value.real = real->get();
                } else if (const auto *truth = node.as_boolean()) {
                        value.kind = SCOPE_TOML_BOOL;
                        value.truth = truth->get();
                } else if (const auto *array = node.as_array()) {
                        bool tables = std::all_of(array->begin(), array->end(),
                                [](const toml::node &element) { return element.is_table(); });
                        value.kind = tables ? SCOPE_TOML_LIST : SCOPE_TOML_ARRAY;
                        value.integer = static_cast<int64_t>(array->size());
                } else {
                        value.kind = node.is_table() ? SCOPE_TOML_TABLE : SCOPE_TOML_DATE;
                }
        }
};

bool before(const entry &a, const entry &b)
{
        bool a_holds = a.value.kind <= SCOPE_TOML_LIST, b_holds = b.value.kind <= SCOPE_TOML_LIST;
        if (a_holds != b_holds)
                return a_holds;
        if (a.value.key_line != b.value.key_line)
                return a.value.key_line < b.value.key_line;
        return a.value.key_column < b.value.key_column;
}

enum scope_err give(flattener &flat, scope_toml *ret_toml)
{
        /* stable: a table and what it holds may share a place */
        std::stable_sort(flat.entries.begin(), flat.entries.end(), before);
        scope_toml toml{};
        toml.count = flat.entries.size();
        toml.values = static_cast<scope_toml_value *>(
                std::calloc(toml.count + 1, sizeof(scope_toml_value)));
        toml.strings = static_cast<char *>(std::malloc(flat.pool.size() + 1));
        if (toml.values == nullptr || toml.strings == nullptr) {
                scope_toml_fini(&toml);
                return SCOPE_ERR_MEMORY;
        }
        std::memcpy(toml.strings, flat.pool.data(), flat.pool.size());
        for (size_t i = 0; i < toml.count; i++) {
                toml.values[i] = flat.entries[i].value;
                toml.values[i].path = toml.strings + flat.entries[i].path_at;
                if (toml.values[i].kind == SCOPE_TOML_TEXT)
                        toml.values[i].text = toml.strings + flat.entries[i].text_at;
        }
        *ret_toml = toml;
        return SCOPE_OK;
}

} // namespace

enum scope_err scope_toml_parse(const char *bytes, size_t count, struct scope_toml *ret_toml,
        uint32_t *ret_line, uint32_t *ret_column, struct scope_diag *diag)
{
        *ret_line = *ret_column = 0;
        try {
                flattener flat;
                toml::table root = toml::parse(std::string_view(bytes, count));
                flat.table("", root);
                return give(flat, ret_toml);
        } catch (const toml::parse_error &error) {
                std::string_view reason = error.description();
                *ret_line = error.source().begin.line;
                *ret_column = error.source().begin.column;
                return scope_diag_set(diag, SCOPE_ERR_FORMAT, "%.*s",
                        static_cast<int>(reason.size()), reason.data());
        } catch (const too_big &error) {
                return scope_diag_set(diag, SCOPE_ERR_TOO_BIG, "%s", error.what);
        } catch (const std::exception &) { /* bad_alloc and its kin */
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory");
        }
}

void scope_toml_fini(struct scope_toml *toml)
{
        std::free(toml->values);
        std::free(toml->strings);
        *toml = scope_toml{};
}

const char *scope_toml_library_version(void)
{
#define TEXT(x) #x
#define DOTTED(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)
        return DOTTED(TOML_LIB_MAJOR, TOML_LIB_MINOR, TOML_LIB_PATCH);
#undef DOTTED
#undef TEXT
}
