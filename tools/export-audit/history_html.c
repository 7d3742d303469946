// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Stories as one page that carries its data: sorted by a click on a heading, searched as one types.
 */
#include "history_out.h"

#include <stdlib.h>
#include <string.h>

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Exported symbols "
	"over releases</title>\n"
	"<style>\n"
	"body{font:14px/1.4 sans-serif;margin:1.5em}\n"
	"table{border-collapse:collapse;width:100%}\n"
	"th{cursor:pointer;text-align:left;border-bottom:2px solid #888;white-space:nowrap}\n"
	"td{border-bottom:1px solid #ddd;padding:2px 10px 2px 0;vertical-align:top}\n"
	"td:first-child{font-family:monospace}\n"
	".yes{background:#fee}\n"
	"input,label{font:inherit;margin:0 1em 1em 0}\n"
	"</style></head><body>\n<h1>Exported symbols over releases</h1>\n"
	"<p><input id=\"q\" size=\"40\" placeholder=\"any text in a row\">"
	"<label><input id=\"c\" type=\"checkbox\">candidates for a revert only</label>"
	"<span id=\"n\"></span></p>\n<table><thead><tr id=\"h\"></tr></thead><tbody "
	"id=\"b\"></tbody></table>\n"
	"<script>\n";

/* Windows are sorted as numbers, versions by their parts. */
static const char script[] =
	"const $=i=>document.getElementById(i),MAX=1000,C=H.indexOf('candidate');\n"
	"let key=0,up=1;\n"
	"const order=new Intl.Collator('en',{numeric:true});\n"
	"function cell(tr,t){const "
	"d=document.createElement('td');d.textContent=t;tr.appendChild(d)}\n"
	"function show(){const w=$('q').value.toLowerCase().split(/\\s+/).filter(Boolean);\n"
	"let r=D.filter(x=>(!$('c').checked||x[C]==='yes')&&"
	"w.every(t=>x.join(' ').toLowerCase().includes(t)));\n"
	"r.sort((x,y)=>up*order.compare(x[key],y[key]));\n"
	"$('n').textContent=r.length+' of '+D.length+(r.length>MAX?', first '+MAX+' shown':'');\n"
	"$('b').textContent='';for(const x of r.slice(0,MAX)){const "
	"tr=document.createElement('tr');\n"
	"if(x[C]==='yes')tr.className='yes';x.forEach(t=>cell(tr,t));$('b').appendChild(tr)}}\n"
	"H.forEach((t,i)=>{const th=document.createElement('th');th.textContent=t;\n"
	"th.onclick=()=>{up=key===i?-up:1;key=i;show()};$('h').appendChild(th)});\n"
	"$('q').oninput=$('c').onchange=show;show();\n</script></body></html>\n";

/* A JavaScript string; "<" could end the script element, and what is no ASCII may be no UTF-8. */
static void string(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < ' ' || c == '<' || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			putc(c < 0x80 ? c : '?', f);
	}
	putc('"', f);
}

static void array(FILE *f, const char *const *v, int n)
{
	putc('[', f);
	for (int i = 0; i < n; i++) {
		if (i)
			putc(',', f);
		string(f, v[i]);
	}
	putc(']', f);
}

void history_html_start(FILE *f, const char *const *columns, int n)
{
	fputs(head, f);
	fputs("const H=", f);
	array(f, columns, n);
	fputs(",D=[\n", f);
}

void history_html_row(FILE *f, const char *const *cells, int n)
{
	array(f, cells, n);
	fputs(",\n", f);
}

void history_html_end(FILE *f)
{
	fputs("];\n", f);
	fputs(script, f);
}
