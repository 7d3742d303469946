// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A library with data that are mapped with it, for scenes. */
char scene_data[65536];
