// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* One page that carries its data: sorted by a click on a heading, searched as one types. */

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "report.h"

#define CONSUMERS 4u /* listed for each symbol; the count says how many there are */

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Exported "
	"symbols</title>\n"
	"<style>\n"
	"body{font:14px/1.4 sans-serif;margin:1.5em}\n"
	"table{border-collapse:collapse;width:100%}\n"
	"th{cursor:pointer;text-align:left;border-bottom:2px solid #888;white-space:nowrap}\n"
	"td{border-bottom:1px solid #ddd;padding:2px 10px 2px 0;vertical-align:top}\n"
	"td:first-child{font-family:monospace}\n"
	".unconsumed{color:#a00}.undecided{color:#a60}.consumed{color:#060}\n"
	"input,select{font:inherit;margin:0 1em 1em 0}\n"
	"</style></head><body>\n<h1>Exported symbols and their consumers</h1>\n";

static const char controls[] =
	"<p><input id=\"q\" size=\"40\" placeholder=\"symbol, file or subsystem\">"
	"<select id=\"v\"><option value=\"\">any "
	"verdict<option>consumed<option>unconsumed<option>undecided"
	"</select><select id=\"l\"><option value=\"\">any licence<option>GPL<option>plain</select>"
	"<span id=\"n\"></span></p>\n"
	"<table><thead><tr><th>symbol<th>licence<th>verdict<th>file<th>subsystem<th>reason<th>"
	"consumers"
	"</tr></thead><tbody id=\"b\"></tbody></table>\n";

static const char script[] =
	"const "
	"b=document.getElementById('b'),q=document.getElementById('q'),v=document.getElementById('"
	"v'),"
	"l=document.getElementById('l'),n=document.getElementById('n'),MAX=1000;\n"
	"let key=0,up=1;\n"
	"function cell(tr,t,c){const "
	"d=document.createElement('td');d.textContent=t;if(c)d.className=c;"
	"tr.appendChild(d)}\n"
	"function show(){const w=q.value.toLowerCase().split(/\\s+/).filter(Boolean);\n"
	"let r=D.filter(x=>(!v.value||x[2]===v.value)&&(!l.value||x[1]===l.value)&&"
	"w.every(t=>(x[0]+' '+x[3]+' '+x[4]).toLowerCase().includes(t)));\n"
	"r.sort((x,y)=>up*(key===6?x[6]-y[6]:x[key]<y[key]?-1:x[key]>y[key]?1:0));\n"
	"n.textContent=r.length+' of '+D.length+(r.length>MAX?', first '+MAX+' shown':'');\n"
	"b.textContent='';for(const x of r.slice(0,MAX)){const tr=document.createElement('tr');\n"
	"cell(tr,x[0]);cell(tr,x[1]);cell(tr,x[2],x[2]);cell(tr,x[3]);cell(tr,x[4]);cell(tr,x[5]);"
	"cell(tr,x[6]?x[6]+': '+x[7].join(', ')+(x[6]>x[7].length?', "
	"...':''):'');b.appendChild(tr)}}\n"
	"document.querySelectorAll('th').forEach((h,i)=>h.onclick=()=>{up=key===i?-up:1;key=i;show("
	")});\n"
	"q.oninput=v.onchange=l.onchange=show;show();\n";

/* JSON inside a script element: "</" would end it. */
static void script_text(const char *s, FILE *out)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("\\u003c", out);
		else
			fputc(*s, out);
	}
}

static void markup(const char *s, FILE *out)
{
	char text[1024];

	clean_text(s, text, sizeof(text));
	for (const char *p = text; *p; p++) {
		if (*p == '<')
			fputs("&lt;", out);
		else if (*p == '&')
			fputs("&amp;", out);
		else
			fputc(*p, out);
	}
}

static struct json_object *text(const char *s)
{
	char clean[2048];

	clean_text(s, clean, sizeof(clean));
	return json_object_new_string(clean);
}

static void data(const struct report *r, const struct row *row, FILE *out)
{
	const struct graph_symbol *s = row->symbol;
	struct json_object *a = json_object_new_array(), *c = json_object_new_array();
	char place[1200];

	snprintf(place, sizeof(place), "%s:%u", site_path(r, s), s->sites[0].line);
	json_object_array_add(a, text(s->name));
	json_object_array_add(a, text(licence_name(s->licence)));
	json_object_array_add(a, text(verdict_name(s->verdict)));
	json_object_array_add(a, text(place));
	json_object_array_add(a, text(row->subsystem));
	json_object_array_add(a, text(s->reason));
	json_object_array_add(a, json_object_new_int64(s->n_consumers));
	for (uint32_t i = 0; i < s->n_consumers && i < CONSUMERS; i++)
		json_object_array_add(c, text(r->files[s->consumers[i]].path));
	json_object_array_add(a, c);
	script_text(json_object_to_json_string_ext(a, JSON_C_TO_STRING_NOSLASHESCAPE), out);
	json_object_put(a);
}

int report_html(const struct report *r, FILE *out)
{
	fputs(head, out);
	fputs("<p>Tree: ", out);
	markup(r->tree, out);
	fputs("</p>\n<pre>\n", out);
	report_summary(r, out);
	fputs("</pre>\n", out);
	fputs(controls, out);
	fputs("<script>\nconst D=[", out);
	for (uint32_t i = 0; i < r->n_rows; i++) {
		fputs(i ? ",\n" : "\n", out);
		data(r, &r->rows[i], out);
	}
	fputs("];\n", out);
	fputs(script, out);
	fputs("</script></body></html>\n", out);
	return ferror(out) ? -EIO : 0;
}
