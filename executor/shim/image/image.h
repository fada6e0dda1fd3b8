#ifndef BERTH_SHIM_IMAGE_H
#define BERTH_SHIM_IMAGE_H

extern const unsigned char shim_image[], shim_image_end[];

#endif
