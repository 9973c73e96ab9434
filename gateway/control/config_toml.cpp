/* SPDX-License-Identifier: Apache-2.0 */
/* The C-linked shim over toml++, and the only C++ here. Exceptions end inside config_toml_parse(). */
#include "config_toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace
{

struct entry {
    std::string key, text;
    config_toml_type type;
    toml::source_position at;
};

using entries = std::vector<entry>;

bool is_bare(std::string_view part)
{
    auto bare = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
    };
    return !part.empty() && std::all_of(part.begin(), part.end(), bare);
}

/* Quoting keeps `runner."a.b"` apart from `runner.a.b`, and control characters out of messages. */
std::string key_part(std::string_view part)
{
    if (is_bare(part))
        return std::string(part);
    std::string quoted = "\"";
    for (char c : part) {
        auto byte = static_cast<unsigned char>(c);
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\u%04X", static_cast<unsigned>(byte));
        quoted +=
            byte < 0x20 || byte == 0x7f || c == '"' || c == '\\' ? std::string(escape) : std::string(1, c);
    }
    return quoted + "\"";
}

std::string print(const toml::node &node)
{
    std::ostringstream out;
    node.visit([&](const auto &n) {
        if constexpr (toml::is_value<decltype(n)>)
            out << n;
    });
    return out.str();
}

config_toml_type scalar_type(const toml::node &node)
{
    switch (node.type()) {
    case toml::node_type::string:
        return CONFIG_TOML_STRING;
    case toml::node_type::integer:
        return CONFIG_TOML_INTEGER;
    case toml::node_type::floating_point:
        return CONFIG_TOML_FLOAT;
    case toml::node_type::boolean:
        return CONFIG_TOML_BOOLEAN;
    default:
        return CONFIG_TOML_DATE;
    }
}

/* Integers in plain decimal whatever their notation was, strings as they are, the rest as TOML writes it. */
std::string scalar_text(const toml::node &node)
{
    if (auto text = node.as_string())
        return text->get();
    if (auto number = node.as_integer())
        return std::to_string(number->get());
    return print(node);
}

void set_bad(entry &e, const char *what)
{
    e.type = CONFIG_TOML_BAD;
    e.text = what;
}

void set_scalar(entry &e, const toml::node &node)
{
    e.type = scalar_type(node);
    e.text = scalar_text(node);
    if (e.text.find('\0') != std::string::npos)
        set_bad(e, "a NUL character");
}

void set_array(entry &e, const toml::array &array)
{
    e.type = CONFIG_TOML_ARRAY;
    for (const toml::node &item : array) {
        if (!item.is_value())
            return set_bad(e, "a table or an array inside an array");
        std::string text = scalar_text(item);
        if (text.find('\0') != std::string::npos)
            return set_bad(e, "a NUL character");
        if (text.find(CONFIG_TOML_JOINT) != std::string::npos)
            return set_bad(e, "a control character inside an array item");
        if (&item != &array.front())
            e.text += CONFIG_TOML_JOINT;
        e.text += text;
    }
}

/* toml++ bounds how deep a document nests, so the recursion is bounded too. */
void walk(const toml::table &table, const std::string &prefix, entries &out)
{
    for (auto &&[key, node] : table) {
        out.push_back({prefix + key_part(key.str()), "", CONFIG_TOML_TABLE, key.source().begin});
        entry &e = out.back();
        if (auto inner = node.as_table())
            walk(*inner, std::string(e.key) + ".", out);
        else if (auto array = node.as_array())
            set_array(e, *array);
        else
            set_scalar(e, node);
    }
}

/* Tables are kept by name inside toml++; the operator thinks in lines. */
void sort_by_place(entries &all)
{
    auto before = [](const entry &a, const entry &b) {
        return a.at.line != b.at.line ? a.at.line < b.at.line : a.at.column < b.at.column;
    };
    std::stable_sort(all.begin(), all.end(), before);
}

entries parse(std::string_view text)
{
    entries all;
    walk(toml::parse(text), "", all);
    sort_by_place(all);
    return all;
}

int syntax_error(const toml::parse_error &e, config_toml_error *error)
{
    std::string_view what = e.description();
    error->line = static_cast<int>(e.source().begin.line);
    error->column = static_cast<int>(e.source().begin.column);
    std::snprintf(error->what, sizeof error->what, "%.*s", static_cast<int>(what.size()), what.data());
    return -EINVAL;
}

} // namespace

extern "C" int config_toml_parse(const char *text, size_t len, config_toml_visit visit, void *arg,
                                 struct config_toml_error *error)
{
    try {
        for (const entry &e : parse({text, len})) {
            config_toml_entry plain = {e.key.c_str(), e.text.c_str(), e.type, static_cast<int>(e.at.line)};
            visit(arg, &plain);
        }
        return 0;
    } catch (const toml::parse_error &e) {
        return syntax_error(e, error);
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    }
}
