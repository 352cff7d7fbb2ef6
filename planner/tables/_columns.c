/*
 * Columns of ten thousand texts, looked at without Python between them: planner/tables/columns.py says what for.
 *
 * Optional: each function does what a line or two of Python do as well, and says None of what it is not made for (other
 * than lists of texts; texts that are no UTF-8), which is then done in Python. Most of what it saves is that nothing is
 * counted in the texts themselves, whose memory is copied after a fork(2) once it is written to.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000 /* one build does for all versions from 3.11 on */
#include <Python.h>

#include <string.h>

enum { VERSION = 2 }; /* of what is asked of this file: what was built from another one is not used (columns.py) */

struct text { const char *begin; Py_ssize_t size; };

/* Whether that is a text, of UTF-8. */
static int text_of(PyObject *one, struct text *text)
{
	text->begin = one && PyUnicode_Check(one) ? PyUnicode_AsUTF8AndSize(one, &text->size) : NULL;
	if (!text->begin)
		PyErr_Clear();
	return text->begin != NULL;
}

static int text_at(PyObject *list, Py_ssize_t at, struct text *text)
{
	return text_of(PyList_GetItem(list, at), text);
}

static int compare(struct text one, struct text other)
{
	int found = memcmp(one.begin, other.begin, one.size < other.size ? one.size : other.size);

	return found ? found : (one.size > other.size) - (one.size < other.size);
}

/* Whether that is a list, and has so many texts. */
static int has(PyObject *list, Py_ssize_t begin, Py_ssize_t end)
{
	return PyList_Check(list) && begin >= 0 && begin <= end && end <= PyList_Size(list);
}

PyDoc_STRVAR(extent_doc, "extent(texts, begin, end) -> (first, last): in the order of characters");

static PyObject *extent(PyObject *self, PyObject *args)
{
	struct text text, first = { NULL, 0 }, last = { NULL, 0 };
	PyObject *list;
	Py_ssize_t begin, end;

	(void)self;
	if (!PyArg_ParseTuple(args, "Onn", &list, &begin, &end))
		return NULL;
	if (!has(list, begin, end) || begin == end)
		Py_RETURN_NONE;
	for (Py_ssize_t at = begin; at < end; at++) {
		if (!text_at(list, at, &text))
			Py_RETURN_NONE;
		if (at == begin || compare(text, first) < 0)
			first = text;
		if (at == begin || compare(text, last) > 0)
			last = text;
	}
	return Py_BuildValue("(s#s#)", first.begin, first.size, last.begin, last.size);
}

PyDoc_STRVAR(same_doc, "same(texts, begin, others, other_begin, count, before) -> whether so many texts from there on are the\n"
	"others with this text before each");

static PyObject *same(PyObject *self, PyObject *args)
{
	PyObject *list, *other, *first;
	Py_ssize_t begin, other_begin, count;
	struct text before, one, another;

	(void)self;
	if (!PyArg_ParseTuple(args, "OnOnnO", &list, &begin, &other, &other_begin, &count, &first))
		return NULL;
	if (!text_of(first, &before) || !has(list, begin, begin + count) || !has(other, other_begin, other_begin + count))
		Py_RETURN_NONE;
	for (Py_ssize_t at = 0; at < count; at++) {
		if (!before.size && PyList_GetItem(list, begin + at) == PyList_GetItem(other, other_begin + at))
			continue;
		if (!text_at(list, begin + at, &one) || !text_at(other, other_begin + at, &another))
			Py_RETURN_NONE;
		if (one.size != before.size + another.size || memcmp(one.begin, before.begin, before.size)
			|| memcmp(one.begin + before.size, another.begin, another.size))
			Py_RETURN_FALSE;
	}
	Py_RETURN_TRUE;
}

PyDoc_STRVAR(plain_doc, "plain(texts, begin, end, before, most) -> whether each, with what comes before it, is an absolute path of ASCII\n\n"
	"without empty names, a last slash, or names that begin with a dot; and has at most so many characters.");

static PyObject *plain(PyObject *self, PyObject *args)
{
	PyObject *list, *first;
	struct text before, text;
	Py_ssize_t begin, end, most;

	(void)self;
	if (!PyArg_ParseTuple(args, "OnnOn", &list, &begin, &end, &first, &most))
		return NULL;
	if (!text_of(first, &before) || !has(list, begin, end))
		Py_RETURN_NONE;
	for (Py_ssize_t at = begin; at < end; at++) {
		if (!text_at(list, at, &text))
			Py_RETURN_NONE;
		char last = before.size ? before.begin[before.size - 1] : 0;
		if (before.size + text.size > most || (before.size ? before.begin[0] : text.begin[0]) != '/')
			Py_RETURN_FALSE;
		for (Py_ssize_t place = 0; place < text.size; place++) {
			char now = text.begin[place];

			if (!now || (unsigned char)now >= 0x80 || (last == '/' && (now == '/' || now == '.')))
				Py_RETURN_FALSE;
			last = now;
		}
		if (last == '/')
			Py_RETURN_FALSE;
	}
	Py_RETURN_TRUE;
}

PyDoc_STRVAR(directories_doc, "directories(texts, begin, end) -> set of what is before the last slash of each, or nothing if it has none");

static PyObject *directories(PyObject *self, PyObject *args)
{
	struct text text, before = { NULL, 0 };
	PyObject *list, *found;
	Py_ssize_t begin, end;

	(void)self;
	if (!PyArg_ParseTuple(args, "Onn", &list, &begin, &end))
		return NULL;
	if (!has(list, begin, end))
		Py_RETURN_NONE;
	if (!(found = PySet_New(NULL)))
		return NULL;
	for (Py_ssize_t at = begin; at < end; at++) {
		if (!text_at(list, at, &text)) {
			Py_DECREF(found);
			Py_RETURN_NONE;
		}
		while (text.size && text.begin[text.size - 1] != '/')
			text.size--;
		text.size -= text.size > 0;
		if (before.begin && !compare(text, before))
			continue;
		PyObject *directory = PyUnicode_FromStringAndSize(text.begin, text.size);

		if (!directory || PySet_Add(found, directory) < 0) {
			Py_XDECREF(directory);
			Py_DECREF(found);
			return NULL;
		}
		Py_DECREF(directory);
		before = text;
	}
	return found;
}

PyDoc_STRVAR(without_doc, "without(texts, begin, end, text) -> list of what each has after this text, with which all of them begin");

static PyObject *without(PyObject *self, PyObject *args)
{
	PyObject *list, *first, *found;
	struct text before, text;
	Py_ssize_t begin, end;

	(void)self;
	if (!PyArg_ParseTuple(args, "OnnO", &list, &begin, &end, &first))
		return NULL;
	if (!text_of(first, &before) || !has(list, begin, end))
		Py_RETURN_NONE;
	if (!(found = PyList_New(end - begin)))
		return NULL;
	for (Py_ssize_t at = begin; at < end; at++) {
		if (!text_at(list, at, &text) || text.size < before.size || memcmp(text.begin, before.begin, before.size)) {
			Py_DECREF(found);
			Py_RETURN_NONE;
		}
		PyObject *one = PyUnicode_FromStringAndSize(text.begin + before.size, text.size - before.size);

		if (!one) {
			Py_DECREF(found);
			return NULL;
		}
		PyList_SetItem(found, at - begin, one);
	}
	return found;
}

enum { LEAST_WORDS = 6, MOST_WORDS = 12, DIGITS = 18 };

struct word { const char *begin; Py_ssize_t size; };

/* The words of a line before " - ", and what comes after that as one more. How many those before it are; 0 if it is odd. */
static int words_of(const char *line, const char *end, struct word *words)
{
	for (int count = 0; count < MOST_WORDS; count++) {
		const char *space = memchr(line, ' ', end - line);

		if (!space || space == line)
			return 0;
		if (space - line == 1 && *line == '-') {
			words[count] = (struct word){ space + 1, end - space - 1 };
			return count >= LEAST_WORDS ? count : 0;
		}
		words[count] = (struct word){ line, space - line };
		line = space + 1;
	}
	return 0;
}

/* The words of a column: a list of those before `since`, and from that row on the last one. */
struct column { PyObject *list, *last; struct word word; Py_ssize_t since; };

/* Puts the last word into the list, so that the column ends before `row`. */
static int settle(struct column *column, Py_ssize_t row)
{
	for (; column->since < row; column->since++)
		if (PyList_Append(column->list, column->last) < 0)
			return -1;
	return 0;
}

static int add_word(struct column *column, struct word word, Py_ssize_t row)
{
	if (row && word.size == column->word.size && !memcmp(word.begin, column->word.begin, word.size)) {
		column->word = word; /* which is at hand */
		return 0;
	}
	PyObject *text = PyUnicode_DecodeUTF8(word.begin, word.size, "surrogateescape");

	if (!text || (!row && !(column->list = PyList_New(0))) || settle(column, row) < 0) {
		Py_XDECREF(text);
		return -1;
	}
	Py_XDECREF(column->last);
	column->last = text;
	column->word = word;
	return 0;
}

static int add_number(PyObject *list, struct word word)
{
	long long value = 0;
	PyObject *number;
	int failed;

	for (Py_ssize_t at = 0; at < word.size; at++)
		value = 10 * value + (word.begin[at] - '0');
	number = PyLong_FromLongLong(value);
	failed = number ? PyList_Append(list, number) : -1;
	Py_XDECREF(number);
	return failed;
}

static int is_number(struct word word)
{
	for (Py_ssize_t at = 0; at < word.size; at++)
		if (word.begin[at] < '0' || word.begin[at] > '9')
			return 0;
	return word.size <= DIGITS;
}

PyDoc_STRVAR(words_doc, "words(text, begin) -> (end, rows, whether any has a backslash, numbers, columns)\n\n"
	"Part the lines from `begin` on that have as many words before \" - \" as the first of them. The first words are numbers;\n"
	"the columns are of the others, and the last of what comes after: a list, and the text that all rows after it have.");

static PyObject *words(PyObject *self, PyObject *args)
{
	struct column columns[MOST_WORDS] = { { NULL, NULL, { NULL, 0 }, 0 } };
	struct word now[MOST_WORDS];
	PyObject *numbers = PyList_New(0), *parted = NULL, *found = NULL;
	Py_ssize_t begin, rows = 0;
	Py_buffer text;
	int width = 0;

	(void)self;
	if (!numbers || !PyArg_ParseTuple(args, "y*n", &text, &begin)) {
		Py_XDECREF(numbers);
		return NULL;
	}
	const char *start = (const char *)text.buf + (begin < 0 || begin > text.len ? text.len : begin);
	const char *line = start, *stop = (const char *)text.buf + text.len, *end;
	while ((end = memchr(line, '\n', stop - line))) {
		int count = words_of(line, end, now);

		if (!count || (rows && count != width) || !is_number(now[0]))
			break;
		width = count;
		if (add_number(numbers, now[0]) < 0)
			goto release;
		for (int at = 1; at <= width; at++)
			if (add_word(&columns[at], now[at], rows) < 0)
				goto release;
		rows++;
		line = end + 1;
	}
	if (!(parted = PyList_New(0)))
		goto release;
	for (int at = 1; rows && at <= width; at++) {
		PyObject *column = Py_BuildValue("(OO)", columns[at].list, columns[at].last);

		if (!column || PyList_Append(parted, column) < 0) {
			Py_XDECREF(column);
			goto release;
		}
		Py_DECREF(column);
	}
	int escaped = memchr(start, '\\', line - start) != NULL;
	found = Py_BuildValue("(nniOO)", line - (const char *)text.buf, rows, escaped, numbers, parted);
release:
	for (int at = 1; at < MOST_WORDS; at++) {
		Py_XDECREF(columns[at].list);
		Py_XDECREF(columns[at].last);
	}
	Py_XDECREF(numbers);
	Py_XDECREF(parted);
	PyBuffer_Release(&text);
	return found;
}

static PyMethodDef methods[] = {
	{ "extent", extent, METH_VARARGS, extent_doc },
	{ "same", same, METH_VARARGS, same_doc },
	{ "plain", plain, METH_VARARGS, plain_doc },
	{ "directories", directories, METH_VARARGS, directories_doc },
	{ "without", without, METH_VARARGS, without_doc },
	{ "words", words, METH_VARARGS, words_doc },
	{ NULL, NULL, 0, NULL },
};

static int exec(PyObject *module)
{
	return PyModule_AddIntConstant(module, "VERSION", VERSION);
}

static PyModuleDef_Slot slots[] = { { Py_mod_exec, exec }, { 0, NULL } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "_columns", NULL, 0, methods, slots, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit__columns(void)
{
	return PyModuleDef_Init(&module);
}
